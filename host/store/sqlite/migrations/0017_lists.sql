-- A page of runs in one state passes over no runs of sub-workflows, however many there are.
CREATE INDEX runs_on_top_by_state ON runs (tenant, state, id) WHERE parent_run_id IS NULL;
