"""`make bench-scale`: how time and memory grow with images, classes, image size, label budget and strategy."""
