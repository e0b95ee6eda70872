"""What each `srl-swe` command does; `srl_swe.cli` puts them together."""
