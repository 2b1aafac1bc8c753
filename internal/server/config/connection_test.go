package config_test

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/server/config"
)

const connections = `connection_manager: {base_url: "https://connections.northmoor.nhs.uk", listen: "0.0.0.0:8444"}` + "\n"

func TestTheConnectionManagerIsOfferedWhereItIsNamed(t *testing.T) {
	want := config.ConnectionManager{BaseURL: "https://connections.northmoor.nhs.uk", Listen: "0.0.0.0:8444"}
	fromFile, err := load(t, good+connections)
	if err != nil || fromFile.ConnectionManager != want || !want.Offered() {
		t.Errorf("from the file: %v, %v", fromFile, err)
	}
	fromEnvironment, err := load(t, good, "CAREKEY_CONNECTION_MANAGER_BASE_URL="+want.BaseURL+"/", "CAREKEY_CONNECTION_MANAGER_LISTEN="+want.Listen)
	if err != nil || fromEnvironment.ConnectionManager != want {
		t.Errorf("from the environment: %v, %v", fromEnvironment, err)
	}
	without, err := load(t, good)
	if err != nil || without.ConnectionManager.Offered() {
		t.Errorf("nowhere: %v, %v", without, err)
	}
	dev, err := config.Dev(config.Demo{Listen: "localhost:8080", DataDir: "data", ConnectionManager: "localhost:8081"}, environment())
	if err != nil || dev.ConnectionManager != (config.ConnectionManager{BaseURL: "http://localhost:8081", Listen: "localhost:8081"}) {
		t.Errorf("in dev mode: %v, %v", dev, err)
	}
}

// Decision 14: programs send secrets, so they come by https, and never to
// where people sign in.
func TestTheConnectionManagerNeedsAPlaceOfItsOwn(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`nhs.uk"`, `nhs.uk/api"`, `base_url: looks like https://connectionmanager.example.nhs.uk, without a path`},
		{"https:", "http:", `base_url: begins with https:// unless programs reach it on this machine alone`},
		{"connections.", "id.", `base_url: needs a host or a port that base_url does not have`},
		{`base_url: "https://connections.northmoor.nhs.uk", `, "", `listen: needs connection_manager.base_url too, where programs reach it`},
		{`connections.northmoor.nhs.uk", listen: "0.0.0.0:8444"`, `id.northmoor.nhs.uk:8444"`, `base_url: on the host of base_url it needs a port of its own: set connection_manager.listen`},
		{"0.0.0.0:8444", "8444", `listen: an address looks like 127.0.0.1:8080, not "8444"`},
	} {
		text := good + strings.Replace(connections, c.old, c.new, 1)
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), ": connection_manager."+c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.new, err)
		}
	}
	shared := good + strings.Replace(connections, `, listen: "0.0.0.0:8444"`, "", 1)
	if _, err := load(t, shared); err != nil {
		t.Errorf("by host alone: %v", err)
	}
	plain := strings.Replace(good, "tls: {certificate_file: /etc/carekey/cert.pem, key_file: /etc/carekey/cert.key}\n", "", 1)
	plain = strings.Replace(plain, "trusted_proxies: [10.1.2.3, 10.2.0.0/16]\n", "", 1)
	plain = strings.Replace(plain, "listen: 0.0.0.0:8443", "listen: 127.0.0.1:8443", 1)
	if _, err := load(t, plain+connections); err == nil || !strings.Contains(err.Error(), "connection_manager.listen: 0.0.0.0:8444 would be plain http for everybody") {
		t.Errorf("without TLS: %v", err)
	}
}
