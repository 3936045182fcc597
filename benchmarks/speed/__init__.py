"""`make bench`: the same jobs with Headstart and with its peers, each in a process of its own, side by side."""
