package api

import "maps"

// descriptions is what the fields of automation's and service's types are, by
// Schema.field. A test wants every property of the document described.
func descriptions() map[string]string {
	all := map[string]string{}
	for _, some := range []map[string]string{describeRuns(), describeAnswers(), describePlugins(), describeMachines(), describeTimes(), describeAccess()} {
		maps.Copy(all, some)
	}
	return all
}

// describeRuns says what the fields are of runs and what belongs to them.
func describeRuns() map[string]string {
	return map[string]string{
		"AttemptLog.step":    "The step's id.",
		"AttemptLog.item":    "The item's index in the step's fan-out.",
		"AttemptLog.attempt": "The attempt's number, from 1.",
		"AttemptLog.lines":   "What it logged, in order.",
		"AttemptLog.partial": "There may be more: the attempt is at work, or was lost with its host.",

		"End.run":   "The run.",
		"End.state": "The state that it ended in.",
		"End.seq":   "The sequence number of the run's last entry.",

		"Event.seq":       "The number of the log's entry that caused the event.",
		"Event.index":     "Its place among the events of that entry.",
		"Event.at":        "When it happened.",
		"Event.kind":      "What changed its state.",
		"Event.run_state": "The run's new state (kind run).",
		"Event.step":      "The step's id (kind item).",
		"Event.item":      "The item's index in the step's fan-out (kind item).",
		"Event.target":    "The name of the item's target.",
		"Event.state":     "The item's new state (kind item).",
		"Event.attempt":   "The attempt's number, from 1 (kind item).",
		"Event.waits_for": "What somebody has to give for the item to go on.",
		"Event.error":     "Why, for a state that has a cause.",

		"EventReceipt.name":  "The event's name.",
		"EventReceipt.state": "delivered to the items that waited for it, kept for the first that will, or pending: the scheduler has not come to it yet.",
		"EventReceipt.items": "How many items waited for it, and have it.",

		"EventRequest.payload": "A JSON object of at most 64 KiB, which steps read as outputs.event.",

		"Item.step":         "The step's id.",
		"Item.index":        "The item's index in the step's fan-out.",
		"Item.target":       "The name of its target.",
		"Item.value":        "The list element that it stands for.",
		"Item.state":        "Its state now.",
		"Item.attempt":      "The latest attempt's number; 0: none yet.",
		"Item.kept":         "Whether the outcome is that of the run which this one runs again; nothing was done now.",
		"Item.host":         "The host that the latest attempt was given to.",
		"Item.granted_at":   "When the latest attempt was given to a host.",
		"Item.started_at":   "When the latest attempt began.",
		"Item.ended_at":     "When the item ended.",
		"Item.duration_ms":  "How long the latest attempt ran, in milliseconds; 0 before its end.",
		"Item.output":       "The action's output.",
		"Item.due_at":       "When the next attempt may begin, or a wait ends.",
		"Item.child_run_id": "The run that carries out the item, of a step that uses a workflow.",
		"Item.error":        "Why the latest attempt failed.",
		"Item.reason":       "Why the item is not running, or has not run.",
		"Item.waits_for":    "What somebody has to give for it to go on.",
		"Item.answer":       "Who told it what.",

		"Line.step":    "The step's id.",
		"Line.item":    "The item's index in the step's fan-out.",
		"Line.target":  "The name of the item's target.",
		"Line.attempt": "The attempt's number, from 1.",
		"Line.n":       "The line's number in its attempt, from 1.",
		"Line.at":      "When it was logged.",
		"Line.level":   "How much it matters.",
		"Line.message": "The text.",

		"LogLine.at":      "When it was logged.",
		"LogLine.level":   "How much it matters.",
		"LogLine.message": "The text.",

		"Run.shard":      "The shard of the log that it is in.",
		"Run.workflow":   "The workflow's name.",
		"Run.plan_hash":  "The plan that it executes.",
		"Run.state":      "Its state now.",
		"Run.error":      "Why it failed or was cancelled.",
		"Run.by":         "The name of the token that submitted it.",
		"Run.rerun_of":   "The run that this one runs again.",
		"Run.started_at": "When the first attempt was granted.",
		"Run.ended_at":   "When it ended.",
		"Run.parent":     "The item that it carries out, for the run of a sub-workflow.",
		"Run.outputs":    "The workflow's outputs, once it has succeeded; not in lists.",
		"Run.seq":        "The sequence number of the log that this reflects: events after it are news.",

		"Parent.run_id":  "The run that started it.",
		"Parent.step":    "The step of that run.",
		"Parent.item":    "The item of that step.",
		"Parent.attempt": "The number of the item's attempt.",

		"Step.id":      "The step's id.",
		"Step.uses":    "Its action: PLUGIN.ACTION@VERSION.",
		"Step.state":   "Its state as a whole.",
		"Step.items":   "How many items it has; 0 before its fan-out is known.",
		"Step.fan_out": "Whether it has for_each. Without it a step has one item.",
		"Step.counts":  "How many items are in each state.",
		"Step.needs":   "The steps that it waits for.",
	}
}

// describeAnswers says what the fields are of answers to why things are as they are, and of what people decide.
func describeAnswers() map[string]string {
	return map[string]string{
		"Answer.decision":   "What was decided.",
		"Answer.resolution": "What became of it.",
		"Answer.by":         "The name of the token that said it.",
		"Answer.reason":     "Why.",
		"Answer.at":         "When.",

		"Approval.run":          "The run that asks.",
		"Approval.step":         "The step's id.",
		"Approval.item":         "The item's index; 0 without for_each.",
		"Approval.workflow":     "The run's workflow.",
		"Approval.submitted_by": "Who submitted the run.",
		"Approval.state":        "Whether it waits for a decision, and what was decided.",
		"Approval.message":      "What is to be approved.",
		"Approval.requested_at": "Since when it waits.",
		"Approval.expires_at":   "When it is too late to decide: the item fails then.",
		"Approval.by":           "Who decided.",
		"Approval.reason":       "Why.",
		"Approval.decided_at":   "When it was decided.",

		"Error.code":       "What kind of error it is.",
		"Error.message":    "What is wrong, for people.",
		"Error.pointer":    "JSON Pointer to the place.",
		"Error.line":       "Line, from 1.",
		"Error.column":     "Column, from 1.",
		"Error.allowed":    "What would be right.",
		"Error.suggestion": "What to do.",
		"Error.phase":      "Whether the remote side could have acted: before or after.",
		"Error.retryable":  "Whether another attempt may succeed and is safe.",

		"ResolutionOutcome.output": "What the action would have given: a JSON object that fits its schema.",

		"Reason.kind":   "What kind of thing they wait for.",
		"Reason.step":   "The step's id.",
		"Reason.text":   "The reason in a sentence.",
		"Reason.limit":  "What has no room (kinds limit and rate).",
		"Reason.window": "The maintenance window's name (kind window).",
		"Reason.queue":  "The task queue (kind slots).",
		"Reason.needs":  "The steps that have not ended (kind needs).",
		"Reason.until":  "When the first of the items may go on, if that is known.",
		"Reason.count":  "How many items wait for this.",
		"Reason.items":  "The indexes of the first of them.",

		"ReasonLimit.kind":  "What it counts by; max_parallel is the step's own.",
		"ReasonLimit.value": "Of what it counts.",
		"ReasonLimit.used":  "How many run.",
		"ReasonLimit.max":   "How many may.",

		"Failure.step":      "The step's id.",
		"Failure.code":      "The errors' code.",
		"Failure.signature": "What the errors' messages say without what differs: <target>, <address>, <id>, <hex>, <time>, <text> and # stand for that.",
		"Failure.count":     "How many items of the step failed for this cause.",
		"Failure.error":     "The first item's error.",
		"Failure.items":     "The first five items.",

		"FailedItem.index":   "Its place in the fan-out, from 0.",
		"FailedItem.target":  "The target's name.",
		"FailedItem.value":   "The list element.",
		"FailedItem.state":   "failed or unknown.",
		"FailedItem.attempt": "The last attempt's number; 0: there was none.",

		"Wait.for":     "A decision about an approval, or an event.",
		"Wait.event":   "The event's name.",
		"Wait.message": "What is to be approved.",
	}
}

// describePlugins says what the fields are of plugins and their actions.
func describePlugins() map[string]string {
	return map[string]string{
		"Action.name":        "The action's name; a step uses it as PLUGIN.ACTION@VERSION.",
		"Action.description": "What it does.",
		"Action.input":       "JSON Schema of the step's with.",
		"Action.output":      "JSON Schema of the step's outputs.",
		"Action.effect":      "What may be done when it is not known whether an attempt ran: pure and idempotent may run again, once may not, guarded is made safe by the host.",
		"Action.timeout":     "An attempt's default timeout, like 30s.",
		"Action.target":      "Whether it acts on the item's target.",
		"Action.scheduler":   "Whether the scheduler carries it out by itself, without a worker.",

		"Grant.function":    "The host function's name; one that the plugin's manifest asks for.",
		"Grant.targets":     "Names of assets that it may be called for; * is all.",
		"Grant.tags":        "Assets with one of them may be called for too.",
		"Grant.addresses":   "Hosts, address prefixes (10.0.0.0/8) or * that a probe may reach apart from the targets.",
		"Grant.credentials": "Names of credentials that it may use beside the target's own; * is all.",

		"HostFunction.name": "The host function's name.",
		"HostFunction.why":  "What the plugin needs it for.",

		"Manifest.abi":            "The version of the guest ABI.",
		"Manifest.name":           "The plugin's name.",
		"Manifest.version":        "Its semantic version.",
		"Manifest.description":    "What it is for.",
		"Manifest.license":        "Its licence.",
		"Manifest.source":         "Where its source is.",
		"Manifest.host_functions": "The host functions that it wants, and why.",
		"Manifest.actions":        "What steps can use of it.",

		"ActionChange.action": "The action's name.",
		"ActionChange.what":   "What is not as it was: effect (with both), input, output, target, timeout.",

		"PluginChanges.against":                "The version that was active last; none without one.",
		"PluginChanges.added_host_functions":   "Wanted, and not wanted by the version that was active last or not granted to it.",
		"PluginChanges.removed_host_functions": "Wanted by the version that was active last alone.",
		"PluginChanges.added_actions":          "Actions that the version that was active last does not have.",
		"PluginChanges.removed_actions":        "Actions that the version that was active last alone has.",
		"PluginChanges.changed_actions":        "Actions that are not as they were.",
		"PluginChanges.need_approval":          "Activating it takes approve_changes.",

		"PluginFindings.digest":                 "SHA-256 of the artifact.",
		"PluginFindings.size":                   "Bytes of the artifact.",
		"PluginFindings.host_functions":         "The host functions that the module imports.",
		"PluginFindings.unused_host_functions":  "Wanted by the manifest and never called.",
		"PluginFindings.imports":                "All imports, as MODULE NAME.",
		"PluginFindings.actions":                "The actions' names.",
		"PluginFindings.sections":               "How many sections the module has.",
		"PluginFindings.functions":              "How many functions it defines.",
		"PluginFindings.code_bytes":             "Bytes of its code.",
		"PluginFindings.data_bytes":             "Bytes of its data.",
		"PluginFindings.largest_function_bytes": "Bytes of its largest function.",
		"PluginFindings.deepest_nesting":        "The most blocks that stand in each other.",
		"PluginFindings.compile_cost":           "An estimate of what the compiler does.",
		"PluginFindings.memory_bytes":           "Memory that an attempt begins with.",
		"PluginFindings.vet_ms":                 "How long the checks took, in milliseconds.",
		"PluginFindings.warnings":               "What is allowed and seldom meant.",

		"PluginReview.findings": "What the artifact is, found without running it.",
		"PluginReview.changes":  "How it differs from the version of the same plugin that was active last.",

		"Plugin.name":        "The plugin's name.",
		"Plugin.version":     "Its semantic version.",
		"Plugin.digest":      "SHA-256 of the artifact; it names the plugin version.",
		"Plugin.size":        "Bytes of the artifact.",
		"Plugin.state":       "Whether plans may use it: only active ones.",
		"Plugin.manifest":    "What the plugin says of itself.",
		"Plugin.grants":      "Which host functions it may call, and for what.",
		"Plugin.row_version": "Counts the changes of state and grants, from 1; the ETag.",
	}
}

// describeMachines says what the fields are of assets, credentials and hosts.
func describeMachines() map[string]string {
	return map[string]string{
		"Asset.name":       "Unique in the tenant.",
		"Asset.address":    "Host name or IP address.",
		"Asset.port":       "The port that sessions use.",
		"Asset.protocol":   "How the asset is reached; none: only by probes.",
		"Asset.os":         "linux, windows, unix, macos, network (a switch, a router, a firewall) or other.",
		"Asset.tags":       "Words that selectors, grants and scopes use.",
		"Asset.vars":       "Free-form values that expressions read as asset.vars.",
		"Asset.host_keys":  "Pinned SSH host keys: type and base64.",
		"Asset.credential": "Identifier of the credential that sessions log in with.",
		"Asset.queue":      "Task queue of attempts on the asset; without it: default.",
		"Asset.ssh":        "How it is reached over SSH, beyond address, host keys and credential.",

		"AssetSSH.profile":     "Which algorithms may be used: modern, compatible or legacy; without it: compatible.",
		"AssetSSH.authorities": "Public keys of authorities whose host certificates are taken.",
		"AssetSSH.revoked":     "What is never taken: public keys, fingerprints and serial numbers of certificates.",
		"AssetSSH.krl":         "Key revocation list of OpenSSH, in base64.",
		"AssetSSH.first_use":   "Whether the key that the asset shows first is taken and pinned; without it, as the deployment has it.",
		"AssetSSH.rotate":      "Keys that the asset proves to have beside a pinned one are pinned too.",
		"AssetSSH.jump":        "Identifier of the asset that it is reached through.",

		"Asset.version": "Counts the changes, from 1; the ETag.",

		"Host.name":             "What the host calls itself.",
		"Host.state":            "live: it takes attempts; draining: it finishes what it has; stopped: it left by itself; lost: its heartbeat stopped.",
		"Host.leader":           "Whether it grants the attempts now.",
		"Host.version":          "Of its program.",
		"Host.queues":           "The task queues that it serves.",
		"Host.slots":            "How many attempts it runs at a time.",
		"Host.at_work":          "How many it runs, by its last heartbeat.",
		"Host.heartbeat_at":     "Its last heartbeat, by the database's clock.",
		"Host.heartbeat_age_ms": "How old that is, in milliseconds.",

		"Queue.name":    "What assets, steps and hosts call it.",
		"Queue.hosts":   "How many live hosts serve it.",
		"Queue.slots":   "How many attempts those hosts run at a time.",
		"Queue.waiting": "How many items wait in it, ready or parked on a limit; about a second old.",

		"Credential.name":     "Unique in the tenant.",
		"Credential.kind":     "What it holds.",
		"Credential.username": "Who logs in.",
		"Credential.scope":    "Where it may be used.",
		"Credential.version":  "Counts the changes, from 1; the ETag.",
		"Credential.key_id":   "Which key sealed it.",

		"CredentialScope.protocols": "The protocols that may use it.",
		"CredentialScope.assets":    "Names of assets that it may be used on; * is all.",
		"CredentialScope.tags":      "Assets with one of them are in scope too.",
	}
}

// describeTimes says what the fields are of stored workflows and of what starts them.
func describeTimes() map[string]string {
	return map[string]string{
		"Window.name":      "Unique in the tenant.",
		"Window.kind":      "maintenance: its assets are worked on in its times only; freeze: not in its times.",
		"Window.scope":     "Which actions it holds back: changes (of every effect but pure), or all.",
		"Window.assets":    "Assets by name; * is all.",
		"Window.tags":      "Assets with one of them are in it too.",
		"Window.cron":      "When it begins.",
		"Window.duration":  "How long it is each time.",
		"Window.time_zone": "IANA name of the zone that cron is read in.",
		"Window.from":      "Begin of its one time.",
		"Window.until":     "End of its one time.",
		"Window.version":   "Counts the changes, from 1; the ETag.",

		"Schedule.name":        "Unique in the tenant.",
		"Schedule.definition":  "The workflow's definition, as it was given.",
		"Schedule.inputs":      "Values for the workflow's inputs.",
		"Schedule.cron":        "The cron expression; or interval is set.",
		"Schedule.interval":    "The distance between two times, counted from created_at; or cron is set.",
		"Schedule.time_zone":   "IANA name of the zone that cron is read in.",
		"Schedule.catch_up":    "What becomes of times that no host was there for.",
		"Schedule.overlap":     "What happens when the last run is still open.",
		"Schedule.jitter":      "How much later than its time a run is submitted at the most.",
		"Schedule.paused":      "Whether it does not fire.",
		"Schedule.next_at":     "The next time; absent while it is paused.",
		"Schedule.due_at":      "The next time with its jitter.",
		"Schedule.last_at":     "The last time that fired, with or without a run.",
		"Schedule.last_run_id": "The last run that it submitted.",
		"Schedule.last_error":  "Why the last time got no run; absent when it got one.",
		"Schedule.version":     "Counts the changes that people make, from 1; the ETag.",

		"Workflow.name":        "The definition's own name.",
		"Workflow.version":     "Counted by the host, from 1.",
		"Workflow.digest":      "SHA-256 of the definition's bytes.",
		"Workflow.description": "The definition's own.",
		"Workflow.definition":  "YAML or JSON, as it was given; not in lists.",
		"Workflow.includes":    "The stored workflows that its steps use, NAME@VERSION.",
		"Workflow.state":       "active, or retired: no new plan is made of it.",
		"Workflow.by":          "The name of the token that stored it.",
		"Workflow.retired_at":  "When it was retired.",

		"Trigger.name":           "Unique in the tenant.",
		"Trigger.definition":     "The workflow's definition, as it was given.",
		"Trigger.inputs":         "How it makes the run's inputs of an event: texts may have expressions over event and headers.",
		"Trigger.if":             "A webhook for which it is false gets no run.",
		"Trigger.scheme":         "How the sender signs.",
		"Trigger.enabled":        "Whether webhooks get runs.",
		"Trigger.key_id":         "Which key sealed its secrets.",
		"Trigger.secret_version": "Counts the secrets, from 1.",
		"Trigger.previous_until": "Up to when the secret before the current one is valid too; absent: it is not.",
		"Trigger.last_at":        "When the last delivery was taken, or failed.",
		"Trigger.last_run_id":    "The last run that was submitted.",
		"Trigger.last_error":     "Why the last delivery failed; absent when it did not.",
		"Trigger.version":        "Counts the changes that people make, from 1; the ETag. Deliveries do not raise it.",
	}
}

// describeAccess says what the fields are of access.
func describeAccess() map[string]string {
	return map[string]string{
		"AuditEntry.seq":      "The entry's number, from 1.",
		"AuditEntry.at":       "When it was done.",
		"AuditEntry.by":       "The name of the token that did it.",
		"AuditEntry.action":   "What was done, like asset.create.",
		"AuditEntry.object":   "Identifier of what it was done to.",
		"AuditEntry.detail":   "What changed, without secrets.",
		"AuditEntry.previous": "The hash of the entry before.",
		"AuditEntry.hash":     "SHA-256 over previous and the other fields: a changed, removed or moved entry is found.",

		"Token.name":       "Who or what it is for.",
		"Token.role":       "What it may do.",
		"Token.expires_at": "From when it is refused.",
		"Token.revoked_at": "When it was revoked.",
	}
}
