"""Colours and array layouts shared by notebooks, figures and reports. This package does not compute attributions."""
