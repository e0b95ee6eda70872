"""A site of static pages about runs, trajectories and step instances, to be read with no network and no server.

``find`` (`runs`) ─► what there is ─► numbers, curves, thoughts (`numbers`, `curves`, `markers`) ─► pages (`pages`)
                                  └─► entries to browse (`*_entries`) ─► data files (`data_files`) ─┘

`build.write_site` writes it all; `serve.serve` keeps it up to date while a run goes on.
"""
