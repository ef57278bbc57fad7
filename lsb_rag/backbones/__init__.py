"""Backbones, which embed passages and queries. The protocol is in :mod:`lsb_rag.backbones.base`."""
