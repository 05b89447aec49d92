"""The MLflow store: its address, its client, its links."""
