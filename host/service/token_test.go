package service_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

func TestTokenLife(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	tok, value, err := f.CreateToken(ctx, p, service.TokenRequest{Name: "ci", Role: automation.RoleSubmitter, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	text := string(value.Reveal())
	if !strings.HasPrefix(text, "ops_") || len(text) != 47 {
		t.Errorf("got a secret of %d characters; want ops_ and 43 more", len(text))
	}
	if want := sha256.Sum256(value.Reveal()); string(tok.Hash) != string(want[:]) {
		t.Error("the stored hash is not the secret's SHA-256")
	}
	who, err := f.Authenticate(ctx, text)
	want := automation.Principal{Tenant: automation.DefaultTenant, Name: "ci", Role: automation.RoleSubmitter, Token: tok.ID}
	if err != nil || who != want {
		t.Errorf("got %+v, %v; want %+v", who, err, want)
	}
	f.clock.add(time.Hour - time.Second)
	if _, err := f.Authenticate(ctx, text); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	f.clock.add(time.Second)
	wantNobody(t, f, text)

	tok, value, err = f.CreateToken(ctx, p, service.TokenRequest{Name: "ci", Role: automation.RoleSubmitter})
	if err != nil || !tok.Expires.Equal(f.clock.Now().Add(service.DefaultTokenTTL)) {
		t.Fatalf("got %v, %v; want the default time to live", tok.Expires, err)
	}
	for range 2 {
		if err := f.RevokeToken(ctx, p, tok.ID); err != nil {
			t.Errorf("revoke: %v", err)
		}
	}
	wantNobody(t, f, string(value.Reveal()))
	list, err := f.Tokens(ctx, p, automation.Page{})
	if err != nil || len(list) != 2 || list[1].Revoked.IsZero() {
		t.Errorf("got %+v, %v; want both, the second revoked", list, err)
	}
	wantCode(t, f.RevokeToken(ctx, p, "x"), automation.CodeBadRequest)
	wantCode(t, f.RevokeToken(ctx, p, automation.NewID[automation.TokenID]()), automation.CodeNotFound)
}

func wantNobody(t *testing.T, f *fixture, text string) {
	t.Helper()
	who, err := f.Authenticate(t.Context(), text)
	wantCode(t, err, automation.CodeUnauthenticated)
	if who != (automation.Principal{}) {
		t.Errorf("got %+v; want nobody", who)
	}
	if err != nil && text != "" && len(text) > 6 && strings.Contains(err.Error(), text) {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestAuthenticateFailsClosed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, value, err := f.CreateToken(t.Context(), admin(), service.TokenRequest{Name: "ci", Role: automation.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	text := string(value.Reveal())
	flipped := text[:len(text)-2] + map[bool]string{true: "A", false: "B"}[text[len(text)-2] != 'A'] + text[len(text)-1:]
	for _, bad := range []string{
		"", " ", "ops_", text + " ", " " + text, text[4:], "OPS_" + text[4:], text + "=", text[:len(text)-1], text + "A", flipped,
		strings.Repeat("x", 1<<20), "ops_" + strings.Repeat("A", 43), "Bearer " + text, text + "\x00", "ops_' OR 1=1 --",
	} {
		wantNobody(t, f, bad)
	}
	// A store that does not answer is no identity either.
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	who, err := f.Authenticate(t.Context(), text)
	if err == nil || who != (automation.Principal{}) {
		t.Errorf("without a store: got %+v, %v; want an error and nobody", who, err)
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, c := range map[string]struct {
		r    service.TokenRequest
		want []string
	}{
		"empty":       {service.TokenRequest{}, []string{"/name", "/role"}},
		"role":        {service.TokenRequest{Name: "x", Role: "root"}, []string{"/role"}},
		"blank name":  {service.TokenRequest{Name: "  ", Role: "admin"}, []string{"/name"}},
		"line":        {service.TokenRequest{Name: "a\nb", Role: "admin"}, []string{"/name"}},
		"long name":   {service.TokenRequest{Name: strings.Repeat("x", 129), Role: "admin"}, []string{"/name"}},
		"negative":    {service.TokenRequest{Name: "x", Role: "admin", TTL: -time.Hour}, []string{"/ttl"}},
		"a second":    {service.TokenRequest{Name: "x", Role: "admin", TTL: time.Second}, []string{"/ttl"}},
		"a long time": {service.TokenRequest{Name: "x", Role: "admin", TTL: service.MaxTokenTTL + 1}, []string{"/ttl"}},
	} {
		_, value, err := f.CreateToken(t.Context(), admin(), c.r)
		wantPlaces(t, err, c.want...)
		if !value.Empty() {
			t.Errorf("%s: got a secret with the error", name)
		}
	}
}

// mixedUp is a store that answers every lookup with the same token.
type mixedUp struct {
	store.Store
	token automation.Token
}

func (m mixedUp) TokenByHash(context.Context, []byte) (automation.Token, error) { return m.token, nil }

// TestAuthenticateChecksWhatItGot: whatever the store answers, the token's own
// hash must be that of the secret, and the token whole.
func TestAuthenticateChecksWhatItGot(t *testing.T) {
	t.Parallel()
	f := setup(t)
	tok, value, err := f.CreateToken(t.Context(), admin(), service.TokenRequest{Name: "ci", Role: automation.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := f.CreateToken(t.Context(), admin(), service.TokenRequest{Name: "other", Role: automation.RoleSubmitter})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(tok automation.Token, secret automation.Secret) (automation.Principal, error) {
		s := service.New(service.Deps{Store: mixedUp{f.store, tok}, Vault: f.vault, Registry: manifests{}, Now: f.clock.Now})
		return s.Authenticate(t.Context(), string(secret.Reveal()))
	}
	if _, err := ask(tok, value); err != nil {
		t.Errorf("its own token: got %v", err)
	}
	if who, err := ask(tok, other); err == nil {
		t.Errorf("the token of another secret: got %+v", who)
	}
	for what, take := range map[string]func(*automation.Token){
		"tenant": func(t *automation.Token) { t.Tenant = "" }, "name": func(t *automation.Token) { t.Name = "" },
		"role": func(t *automation.Token) { t.Role = "" }, "unknown role": func(t *automation.Token) { t.Role = "root" },
		"identifier": func(t *automation.Token) { t.ID = "" }, "hash": func(t *automation.Token) { t.Hash = nil },
	} {
		broken := tok
		take(&broken)
		if who, err := ask(broken, value); automation.CodeOf(err) != automation.CodeUnauthenticated {
			t.Errorf("without its %s: got %+v, %v", what, who, err)
		}
	}
}

func TestBootstrapAdminWhereTokensAre(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if _, _, err := f.CreateToken(t.Context(), admin(), service.TokenRequest{Name: "ci", Role: automation.RoleSubmitter}); err != nil {
		t.Fatal(err)
	}
	if s, err := f.BootstrapAdmin(t.Context()); err != nil || !s.Empty() {
		t.Errorf("got a secret or %v; want neither", err)
	}
}

func TestBootstrapAdmin(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := t.Context()
	var mu sync.Mutex
	var secrets []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := f.BootstrapAdmin(ctx)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !s.Empty() {
				secrets = append(secrets, string(s.Reveal()))
			}
		})
	}
	wg.Wait()
	if len(secrets) != 1 {
		t.Fatalf("got %d secrets; want one", len(secrets))
	}
	who, err := f.Authenticate(ctx, secrets[0])
	if err != nil || who.Role != automation.RoleAdmin {
		t.Errorf("got %+v, %v; want an admin", who, err)
	}
	if list, err := f.Tokens(ctx, who, automation.Page{}); err != nil || len(list) != 1 {
		t.Errorf("got %d tokens, %v; want one", len(list), err)
	}
	if s, err := f.BootstrapAdmin(ctx); err != nil || !s.Empty() {
		t.Errorf("again: got a secret or %v; want neither", err)
	}
	if err := f.RevokeToken(ctx, who, who.Token); err != nil {
		t.Fatal(err)
	}
	if s, err := f.BootstrapAdmin(ctx); err != nil || !s.Empty() {
		t.Errorf("after it was revoked: got a secret or %v; want neither", err)
	}
}
