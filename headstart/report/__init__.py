"""From a run's tables to one self-contained page.

inputs.py      what the page is made of
summary.py     its numbers; words.py writes them
canvas.py      how figures are drawn; intervals.py, curves.py and classes.py are the figures
maps.py        the 2-D map; pictures.py the images
page.py        all of it put into page.html.j2 and page.css: `render`
"""
