"""Headstart's core: transfer learning itself. No Prefect, MLflow or DVC is known here."""
