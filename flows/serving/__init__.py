"""`headstart serve`: its processes, what they tell Prefect, and the form of a run. The flows it offers are in flows/.

processes.py starts and ends them; keeper.py is the one that deploys and watches; served.py says to others what is up.
"""
