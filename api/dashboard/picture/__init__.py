"""The life of a job as a picture: what is drawn where. The templates make SVG of it."""
