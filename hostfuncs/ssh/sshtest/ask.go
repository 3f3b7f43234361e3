package sshtest

import (
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/ssh"
)

// Ask is a prompt of a Fake.
type Ask struct {
	Prompt  string
	Want    string // the right answer; "": any
	Visible bool
	Same    bool // the next one is asked in the same go
}

// ask asks all prompts in order. The answers are in Passwords.
func (f *Fake) ask(_ ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	for i := 0; i < len(f.conf.Asks); {
		from := i
		for f.conf.Asks[i].Same && i+1 < len(f.conf.Asks) {
			i++
		}
		i++
		var prompts []string
		var echos []bool
		for _, a := range f.conf.Asks[from:i] {
			prompts, echos = append(prompts, a.Prompt), append(echos, a.Visible)
		}
		answers, err := challenge("", "", prompts, echos)
		if err != nil || len(answers) != len(prompts) {
			return nil, errors.New("no answer")
		}
		f.mu.Lock()
		f.passwords = append(f.passwords, answers...)
		f.mu.Unlock()
		for n, a := range f.conf.Asks[from:i] {
			if a.Want != "" && a.Want != answers[n] {
				return nil, errors.New("wrong answer")
			}
		}
	}
	return nil, nil //nolint:nilnil // no permissions are none
}

// twoSteps takes FirstKey and then asks.
func (f *Fake) twoSteps(c *ssh.ServerConfig) {
	c.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(f.conf.FirstKey))
		if err != nil || string(want.Marshal()) != string(key.Marshal()) {
			return nil, errors.New("not this key")
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: f.ask}}
	}
}

// lie signs by the host key what a server that has the announced key would sign.
func (f *Fake) lie(signer ssh.Signer, session []byte) []byte {
	var announced struct {
		Key  []byte
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(f.conf.Announce, &announced) != nil {
		return nil
	}
	sig, err := signer.Sign(rand.Reader, ssh.Marshal(struct {
		Name    string
		Session []byte
		Key     []byte
	}{"hostkeys-prove-00@openssh.com", session, announced.Key}))
	if err != nil {
		return nil
	}
	return ssh.Marshal(struct{ Sig []byte }{ssh.Marshal(sig)})
}

// Proofs returns how often the server was asked to prove that it has its keys.
func (f *Fake) Proofs() int { return int(f.proofs.Load()) }
