package service_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// access is who may call each exported method. A method that is not here fails
// the test: whoever adds one says who may call it.
func access() map[string][]automation.Role {
	admin := []automation.Role{automation.RoleAdmin}
	everyone := []automation.Role{automation.RoleAdmin, automation.RoleSubmitter}
	return map[string][]automation.Role{
		"Plan": everyone, "StoredPlan": everyone, "Submit": everyone, "Run": everyone, "ListRuns": everyone, "Steps": everyone,
		"Failures": everyone, "Items": everyone, "Logs": everyone, "Lines": everyone, "CheckLines": everyone, "Events": everyone, "Wait": everyone, "Cancel": everyone, "Pause": everyone, "Resume": everyone, "Rerun": everyone,
		"Decide": admin, "ListApprovals": everyone, "SendEvent": everyone, "Why": everyone, "Resolve": everyone,
		"ReviewPlugin": everyone, "Plugin": everyone, "Plugins": everyone, "Asset": everyone, "Assets": everyone,
		"Workflow": everyone, "Workflows": everyone, "StoreWorkflow": admin, "RetireWorkflow": admin,
		"UploadPlugin": admin, "ActivatePlugin": admin, "ActivateChangedPlugin": admin, "DisablePlugin": admin,
		"CreateAsset": admin, "UpdateAsset": admin, "DeleteAsset": admin,
		"Credential": admin, "Credentials": admin, "CreateCredential": admin, "UpdateCredential": admin, "DeleteCredential": admin,
		"Schedule": everyone, "Schedules": everyone, "NextTimes": everyone, "CreateSchedule": admin, "UpdateSchedule": admin, "DeleteSchedule": admin,
		"PauseSchedule": admin, "ResumeSchedule": admin, "Backfill": admin,
		"Limit": everyone, "Limits": everyone, "LimitFor": everyone, "CreateLimit": admin, "UpdateLimit": admin, "DeleteLimit": admin,
		"Window": everyone, "Windows": everyone, "CreateWindow": admin, "UpdateWindow": admin, "DeleteWindow": admin,
		"CreateToken": admin, "RevokeToken": admin, "Tokens": admin, "Audit": admin, "Hosts": admin, "Queues": admin, "VerifyAudit": admin,
		"Trigger": everyone, "Triggers": everyone, "CreateTrigger": admin, "UpdateTrigger": admin, "DeleteTrigger": admin,
		"RotateTrigger": admin, "EnableTrigger": admin, "DisableTrigger": admin,
	}
}

// withoutPrincipal are the methods that nobody's token reaches: the edge calls
// Authenticate to make a principal, the composition root the others.
func withoutPrincipal() []string {
	return []string{"Authenticate", "BootstrapAdmin", "EnsureBuiltin", "FireDue", "ScheduleChanges", "Hook"}
}

// TestEveryMethodAuthorises calls every exported method by reflection as every
// kind of principal, with arguments that are empty.
func TestEveryMethodAuthorises(t *testing.T) {
	t.Parallel()
	f := setup(t)
	svc := reflect.ValueOf(f.Service)
	table := access()
	for i := range svc.NumMethod() {
		name := svc.Type().Method(i).Name
		if slices.Contains(withoutPrincipal(), name) {
			if takesPrincipal(svc.Method(i)) {
				t.Errorf("%s takes a principal: give it a row in the table", name)
			}
			continue
		}
		roles, ok := table[name]
		if !ok {
			t.Errorf("%s has no row in the table", name)
			continue
		}
		delete(table, name)
		if !takesPrincipal(svc.Method(i)) {
			t.Errorf("%s takes no principal", name)
			continue
		}
		for who, p := range principals() {
			checkAccess(t, name+" as "+who, call(t, svc.Method(i), p), whatFor(p, roles))
		}
	}
	for name := range table {
		t.Errorf("the table has a row for %s, and the service no such method", name)
	}
}

func principals() map[string]automation.Principal {
	out := map[string]automation.Principal{"nobody": {}}
	for _, role := range []automation.Role{automation.RoleAdmin, automation.RoleSubmitter, "viewer", "Admin", "*", "admin,submitter"} {
		out["role "+string(role)] = principal(role)
	}
	for what, take := range map[string]func(*automation.Principal){
		"no tenant": func(p *automation.Principal) { p.Tenant = "" }, "no role": func(p *automation.Principal) { p.Role = "" },
		"no name": func(p *automation.Principal) { p.Name = "" }, "no token": func(p *automation.Principal) { p.Token = "" },
	} {
		p := principal(automation.RoleAdmin)
		take(&p)
		out[what] = p
	}
	return out
}

// whatFor is the code that a principal must get: "" where it may go on.
func whatFor(p automation.Principal, roles []automation.Role) automation.Code {
	switch {
	case p.Tenant == "" || p.Role == "" || p.Name == "" || p.Token == "":
		return automation.CodeUnauthenticated
	case slices.Contains(roles, p.Role):
		return ""
	}
	return automation.CodeForbidden
}

func checkAccess(t *testing.T, what string, err error, want automation.Code) {
	t.Helper()
	wantOurs(t, err)
	got := automation.CodeOf(err)
	denied := got == automation.CodeUnauthenticated || got == automation.CodeForbidden
	if want == "" && denied || want != "" && got != want {
		t.Errorf("%s: got %q; want %q", what, got, want)
	}
}

func takesPrincipal(m reflect.Value) bool {
	return m.Type().NumIn() > 1 && m.Type().In(1) == reflect.TypeFor[automation.Principal]()
}

// call calls a method with a context, a principal and empty arguments, and
// returns its error.
func call(t *testing.T, m reflect.Value, p automation.Principal) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	args := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(p)}
	for i := 2; i < m.Type().NumIn(); i++ {
		arg := m.Type().In(i)
		if arg == reflect.TypeFor[func(service.Event) error]() {
			args = append(args, reflect.ValueOf(func(service.Event) error { return nil }))
			continue
		}
		args = append(args, reflect.Zero(arg))
	}
	out := m.Call(args)
	err, _ := out[len(out)-1].Interface().(error)
	return err
}
