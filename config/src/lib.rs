//! What the user wrote, checked: TOML configuration into settings.
