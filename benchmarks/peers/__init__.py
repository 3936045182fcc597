"""The peers' side of the bench, each as its own documentation has it. They run in a venv of their own (.venv.peers).

No module here imports Headstart: that venv has it not.
"""
