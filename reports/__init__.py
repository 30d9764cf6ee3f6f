"""Figures and pages: what a study's result files say, drawn and in words."""
