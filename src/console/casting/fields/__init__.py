"""Parts of forms: audiences and values, as texts and as the API takes them."""
