"""Reality in frameworks with ways of their own: Django. Nothing here is loaded unasked."""
