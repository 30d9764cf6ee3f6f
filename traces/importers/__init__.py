"""Importers: one file per format of the engines and tools that record traces."""
