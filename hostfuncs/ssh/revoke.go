package ssh

import (
	"errors"
	"fmt"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh/krl"
)

// revocations reads the endpoint's revocation list; nil: there is none.
func (e Endpoint) revocations() (*krl.List, error) {
	if len(e.Trust.KRL) == 0 {
		return nil, nil //nolint:nilnil // a nil list revokes nothing
	}
	l, err := krl.Parse(e.Trust.KRL)
	if err != nil {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "the revocation list of %s cannot be used, so nothing is trusted there: %w", e.place(), err)
	}
	return l, nil
}

// unrevoked returns the keys and certificates of a credential that a revocation list does
// not revoke. What is revoked is not offered: a server that has not got the list yet would
// take it.
func unrevoked(signers []xssh.Signer, list *krl.List) ([]xssh.Signer, error) {
	var out []xssh.Signer
	var why error
	for _, s := range signers {
		k := s.PublicKey()
		if list.Key(bare(k).Marshal()) {
			why = errors.New("its key is revoked by the asset's revocation list; give the credential another one")
			continue
		}
		if c, ok := k.(*xssh.Certificate); ok {
			if err := goodCertificate(c, list); err != nil {
				why = err
				continue
			}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, why
	}
	return out, nil
}

// goodCertificate returns why a user's certificate is revoked.
func goodCertificate(c *xssh.Certificate, list *krl.List) error {
	switch {
	case list.Certificate(c.SignatureKey.Marshal(), c.Serial, c.KeyId):
		return fmt.Errorf("the certificate, number %d, is revoked by the asset's revocation list; let the authority sign the key anew", c.Serial)
	case list.Key(c.SignatureKey.Marshal()):
		return errors.New("the authority that signed the certificate is revoked by the asset's revocation list")
	}
	return nil
}
