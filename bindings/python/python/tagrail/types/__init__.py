"""Where LiteLLM has the names that programs import from `litellm.types`: a changed import finds them here.

Nothing lives here; everything is in `tagrail` itself.
"""
