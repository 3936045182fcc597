"""From a run's tables to one self-contained page.

inputs.py      what the page is made of
summary.py     its numbers; words.py writes them
amounts.py     how it says scores and differences: in points, or in the target's unit
canvas.py      how figures are drawn; intervals.py, curves.py, classes.py and values.py are the figures
maps.py        the 2-D map; pictures.py the images
sources.py     the sources' ranking; clusters.py the clusters without labels; quality.py what of the data to look at
page.py        all of it put into page.html.j2 (kind.*.html.j2 for what one kind of target has) and page.css: `render`
"""
