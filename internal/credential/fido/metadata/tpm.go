package metadata

import "github.com/google/go-tpm/tpm2"

// stays reports whether the key of a TPM's statement was made in the TPM and
// never leaves it. A TPM certifies whatever is loaded into it, a key that was
// made elsewhere too, so the signature alone shows nothing of it (TPM 2.0
// Library, part 2, section 8.3: fixedTPM, fixedParent, sensitiveDataOrigin). The
// statement has been verified: the name that is signed is that of pubArea.
func stays(a Attestation) bool {
	area, _ := a.Object.AttStatement["pubArea"].([]byte)
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
	return err == nil && public.ObjectAttributes.FixedTPM && public.ObjectAttributes.FixedParent && public.ObjectAttributes.SensitiveDataOrigin
}
