"""Evaluation: whether transfer helped, by how much, how surely, and what it saved.

evaluate.py      the one way in: predictions and cells -> tables and a verdict
outcomes.py      checks what came in; who got which test row right, under which seed
metrics.py       accuracy, macro F1, log loss; MAE, RMSE, R2
measures.py      what a comparison is in: right answers, errors in the target's unit, or in s.d. of several values
each_value.py    what is said of each of several values, in its own unit
comparison.py    the tables: comparison, predictions, snapshots
intervals.py     the two-way random-effects interval (test units x seeds)
overlap.py       labelled rows that seeds have in common, and what that costs
flips.py         test rows won and lost; the exact McNemar test
contrasts.py     one entrant against another
decision.py      Holm, and helped / hurt / equivalent / not settled
control.py       is training from scratch a control that can be trusted?
savings.py       labels and compute saved
gap.py           the train-test gap
ranking.py       which source's features tell the target apart best, before anything is trained
explore.py       clusters of the target as W sees it and as it is given; spaces.py: components, k-means, figures
clusters.py      clusters.json as frozen models, and in words
resolution.py    the half-width to expect, before anything is trained
document.py      verdict.json as frozen models; frozen.py: what such documents are made of
sentences.py     the same in words
settings.py      the knobs of this room
"""
