"""Presets: params.yaml for a run of each modality, with what it came to at the head."""
