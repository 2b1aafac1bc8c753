package config

// file is the configuration as it is written.
type file struct {
	BaseURL       string `yaml:"base_url"`
	Listen        string `yaml:"listen"`
	MetricsListen string `yaml:"metrics_listen"`
	Database      struct {
		URL                       string `yaml:"url"`
		AllowAsynchronousStandbys bool   `yaml:"allow_asynchronous_standbys"`
	} `yaml:"database"`
	RootKeyFile string `yaml:"root_key_file"`
	TLS         struct {
		CertificateFile string `yaml:"certificate_file"`
		KeyFile         string `yaml:"key_file"`
	} `yaml:"tls"`
	TrustedProxies []string `yaml:"trusted_proxies"`
	Operator       struct {
		Name         string `yaml:"name"`
		Service      string `yaml:"service"`
		Desk         string `yaml:"service_desk"`
		HeaderColour string `yaml:"header_colour"`
		LinkColour   string `yaml:"link_colour"`
	} `yaml:"operator"`
	SMTP struct {
		Host         string `yaml:"host"`
		Port         int    `yaml:"port"`
		User         string `yaml:"user"`
		PasswordFile string `yaml:"password_file"`
		From         string `yaml:"from"`
		Security     string `yaml:"security"`
	} `yaml:"smtp"`
	TermsFolder         string `yaml:"terms_folder"`
	HeadlessSignIn      bool   `yaml:"headless_sign_in"`
	DynamicRegistration bool   `yaml:"dynamic_registration"`
	Passwords           struct {
		MemoryKiB     int    `yaml:"memory_kib"`
		Time          int    `yaml:"time"`
		Threads       int    `yaml:"threads"`
		Pool          int    `yaml:"pool"`
		BlockListFile string `yaml:"block_list_file"`
	} `yaml:"passwords"`
	Sessions struct {
		AAL2Idle  string `yaml:"aal2_idle"`
		AAL2Total string `yaml:"aal2_total"`
		AAL3Idle  string `yaml:"aal3_idle"`
		AAL3Total string `yaml:"aal3_total"`
	} `yaml:"sessions"`
	MTLS struct {
		BaseURL         string `yaml:"base_url"`
		Listen          string `yaml:"listen"`
		CertificateFile string `yaml:"certificate_file"`
		KeyFile         string `yaml:"key_file"`
		ClientCAFile    string `yaml:"client_ca_file"`
	} `yaml:"mtls"`
	ConnectionManager struct {
		BaseURL string `yaml:"base_url"`
		Listen  string `yaml:"listen"`
	} `yaml:"connection_manager"`
	Signing struct {
		RotateEvery   string `yaml:"rotate_every"`
		PublishBefore string `yaml:"publish_before"`
		HSMSocket     string `yaml:"hsm_socket"`
	} `yaml:"signing"`
	Throttle struct {
		ExemptNetworks []string `yaml:"exempt_networks"`
	} `yaml:"throttle"`
	Authenticators struct {
		PerType int `yaml:"per_type"`
	} `yaml:"authenticators"`
	Passkey struct {
		RelyingParties []string `yaml:"relying_parties"`
		People         []string `yaml:"people"`
	} `yaml:"passkey"`
	FIDO struct {
		RPID    string   `yaml:"rp_id"`
		Origins []string `yaml:"origins"`
		Policy  struct {
			SecurityKey  string `yaml:"security_key"`
			WindowsHello string `yaml:"windows_hello"`
			Passkey      string `yaml:"passkey"`
		} `yaml:"policy"`
		ModelsAllowed []string `yaml:"models_allowed"`
		ModelsRefused []string `yaml:"models_refused"`
		RootsFile     string   `yaml:"roots_file"`
	} `yaml:"fido"`
	SharedComputers struct {
		Networks []string `yaml:"networks"`
	} `yaml:"shared_computers"`
	Outgoing struct {
		AllowNetworks []string `yaml:"allow_networks"`
	} `yaml:"outgoing"`
}

// setting is one setting of a file: its name, and where its value goes (a
// *string, *int, *bool or *[]string).
type setting struct {
	name string
	into any
}

// settings lists them all, so that each can also come from the environment.
func (f *file) settings() []setting {
	return []setting{
		{"base_url", &f.BaseURL},
		{"listen", &f.Listen},
		{"metrics_listen", &f.MetricsListen},
		{"database.url", &f.Database.URL},
		{"database.allow_asynchronous_standbys", &f.Database.AllowAsynchronousStandbys},
		{"root_key_file", &f.RootKeyFile},
		{"tls.certificate_file", &f.TLS.CertificateFile},
		{"tls.key_file", &f.TLS.KeyFile},
		{"trusted_proxies", &f.TrustedProxies},
		{"operator.name", &f.Operator.Name},
		{"operator.service", &f.Operator.Service},
		{"operator.service_desk", &f.Operator.Desk},
		{"operator.header_colour", &f.Operator.HeaderColour},
		{"operator.link_colour", &f.Operator.LinkColour},
		{"smtp.host", &f.SMTP.Host},
		{"smtp.port", &f.SMTP.Port},
		{"smtp.user", &f.SMTP.User},
		{"smtp.password_file", &f.SMTP.PasswordFile},
		{"smtp.from", &f.SMTP.From},
		{"smtp.security", &f.SMTP.Security},
		{"terms_folder", &f.TermsFolder},
		{"headless_sign_in", &f.HeadlessSignIn},
		{"dynamic_registration", &f.DynamicRegistration},
		{"passwords.memory_kib", &f.Passwords.MemoryKiB},
		{"passwords.time", &f.Passwords.Time},
		{"passwords.threads", &f.Passwords.Threads},
		{"passwords.pool", &f.Passwords.Pool},
		{"passwords.block_list_file", &f.Passwords.BlockListFile},
		{"sessions.aal2_idle", &f.Sessions.AAL2Idle},
		{"sessions.aal2_total", &f.Sessions.AAL2Total},
		{"sessions.aal3_idle", &f.Sessions.AAL3Idle},
		{"sessions.aal3_total", &f.Sessions.AAL3Total},
		{"signing.rotate_every", &f.Signing.RotateEvery},
		{"signing.publish_before", &f.Signing.PublishBefore},
		{"signing.hsm_socket", &f.Signing.HSMSocket},
		{"mtls.base_url", &f.MTLS.BaseURL},
		{"mtls.listen", &f.MTLS.Listen},
		{"mtls.certificate_file", &f.MTLS.CertificateFile},
		{"mtls.key_file", &f.MTLS.KeyFile},
		{"mtls.client_ca_file", &f.MTLS.ClientCAFile},
		{"connection_manager.base_url", &f.ConnectionManager.BaseURL},
		{"connection_manager.listen", &f.ConnectionManager.Listen},
		{"throttle.exempt_networks", &f.Throttle.ExemptNetworks},
		{"authenticators.per_type", &f.Authenticators.PerType},
		{"passkey.relying_parties", &f.Passkey.RelyingParties},
		{"passkey.people", &f.Passkey.People},
		{"fido.rp_id", &f.FIDO.RPID},
		{"fido.origins", &f.FIDO.Origins},
		{"fido.policy.security_key", &f.FIDO.Policy.SecurityKey},
		{"fido.policy.windows_hello", &f.FIDO.Policy.WindowsHello},
		{"fido.policy.passkey", &f.FIDO.Policy.Passkey},
		{"fido.models_allowed", &f.FIDO.ModelsAllowed},
		{"fido.models_refused", &f.FIDO.ModelsRefused},
		{"fido.roots_file", &f.FIDO.RootsFile},
		{"shared_computers.networks", &f.SharedComputers.Networks},
		{"outgoing.allow_networks", &f.Outgoing.AllowNetworks},
	}
}
