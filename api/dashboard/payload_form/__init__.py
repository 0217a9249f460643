"""A form made from the JSON Schema of a payload, and the payload that a posted form makes."""

from api.dashboard.payload_form.form import Field, PayloadForm, Posted

__all__ = ["Field", "PayloadForm", "Posted"]
