//! When budgets begin anew, and what durations mean. Calendar-aligned, as LiteLLM does it.
