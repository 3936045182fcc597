"""A project in a repository of one's own, which has Headstart installed as a package: `headstart init` makes it.

pipeline.yaml, deployments.yaml and datasets.md are the checkout's dvc.yaml, prefect.yaml and data/README.md: links to
them, so that a package has them too.
"""
