"""`headstart api`: the champion behind HTTP, by the code that `headstart predict` runs. FastAPI is imported on use.

What comes in is bytes of images and nothing else: counted while they stream (guard.py), decoded in worker processes and
predicted in batches with those of other requests (answers.py). No path and no traceback is in an answer.
"""
