package config_test

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/server/config"
)

const mutual = `mtls: {base_url: "https://mtls.northmoor.nhs.uk/", listen: "0.0.0.0:8445", client_ca_file: /etc/carekey/clients.pem}` + "\n"

func TestTheMutualHostIsOfferedWhereItIsNamed(t *testing.T) {
	want := config.MutualTLS{
		BaseURL: "https://mtls.northmoor.nhs.uk", Listen: "0.0.0.0:8445",
		CertificateFile: "/etc/carekey/cert.pem", KeyFile: "/etc/carekey/cert.key", ClientCAFile: "/etc/carekey/clients.pem",
	}
	fromFile, err := load(t, good+mutual)
	if err != nil || fromFile.MutualTLS != want || !want.Offered() {
		t.Errorf("from the file: %v, %v", fromFile, err)
	}
	own, err := load(t, good, "CAREKEY_MTLS_BASE_URL=https://id.northmoor.nhs.uk:8445", "CAREKEY_MTLS_LISTEN=:8445",
		"CAREKEY_MTLS_CERTIFICATE_FILE=/etc/carekey/mtls.pem", "CAREKEY_MTLS_KEY_FILE=/etc/carekey/mtls.key")
	if err != nil || own.MutualTLS != (config.MutualTLS{
		BaseURL: "https://id.northmoor.nhs.uk:8445", Listen: ":8445", CertificateFile: "/etc/carekey/mtls.pem", KeyFile: "/etc/carekey/mtls.key",
	}) {
		t.Errorf("from the environment: %v, %v", own, err)
	}
	without, err := load(t, good)
	if err != nil || without.MutualTLS.Offered() {
		t.Errorf("nowhere: %v, %v", without, err)
	}
}

// Browsers would show people a window, and a proxy would keep the certificate.
func TestTheMutualHostNeedsAPlaceAndACertificateOfItsOwn(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`nhs.uk/"`, `nhs.uk/api"`, `.base_url: looks like https://mtls.example.nhs.uk, without a path`},
		{"https:", "http:", `.base_url: looks like https://mtls.example.nhs.uk, without a path`},
		{"mtls.northmoor", "id.northmoor", `.base_url: needs a host or a port that base_url does not have`},
		{`base_url: "https://mtls.northmoor.nhs.uk/", `, "", `.base_url: is missing`},
		{`listen: "0.0.0.0:8445", `, "", `.listen: is missing`},
		{"0.0.0.0:8445", "8445", `.listen: an address looks like 127.0.0.1:8080, not "8445"`},
		{"client_ca_file:", "key_file:", `: needs certificate_file and key_file`},
	} {
		text := good + strings.Replace(mutual, c.old, c.new, 1)
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), ": mtls"+c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.new, err)
		}
	}
	proxied := strings.Replace(good, "tls: {certificate_file: /etc/carekey/cert.pem, key_file: /etc/carekey/cert.key}\n", "", 1)
	if _, err := load(t, proxied+mutual); err == nil || !strings.Contains(err.Error(), "mtls: needs certificate_file") {
		t.Errorf("where proxies end TLS: %v", err)
	}
}
