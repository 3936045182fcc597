"""Bad input, made anew for each run of the tests: no broken file lies in git. One module a kind, one table in each."""
