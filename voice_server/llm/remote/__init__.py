"""Language models of providers, each behind the `LanguageModel` port."""
