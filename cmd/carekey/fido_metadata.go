package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/server"
)

type fidoMetadataCommand struct {
	Import fidoImportCommand `cmd:"" help:"Import the signed file of the FIDO Alliance (https://mds3.fidoalliance.org/), or - for standard input. It works beside running servers."`
	Show   fidoShowCommand   `cmd:"" help:"Show what was imported, whether it is out of date, and which models are refused."`
}

type fidoImportCommand struct {
	File      string   `arg:"" help:"The file (a BLOB of MDS3)."`
	Root      string   `help:"Trust the certificates of this file instead of the roots of the FIDO Alliance." placeholder:"PEM"`
	CRL       []string `name:"crl" help:"A revocation list of an issuer of the file's certificates (DER or PEM; may be repeated). The message says which are needed." placeholder:"FILE"`
	Unchecked bool     `name:"revocation-unchecked" help:"Import without the revocation lists that the certificates name."`
	Overdue   bool     `help:"Import although a newer file should be there by now."`
	place
}

// Run verifies and imports a file, and tells the holders of models that it
// reports as unsafe.
func (i *fidoImportCommand) Run(c *console) error {
	trust := metadata.Trust{UncheckedRevocation: i.Unchecked, Overdue: i.Overdue}
	var err error
	if i.Root != "" {
		if trust.Anchors, err = metadata.ReadRoots(i.Root); err != nil {
			return err
		}
	}
	for _, path := range i.CRL {
		list, err := readList(path)
		if err != nil {
			return err
		}
		trust.Lists = append(trust.Lists, list)
	}
	file, err := i.read(c)
	if err != nil {
		return err
	}
	return i.enter(c, func(h *server.House) error {
		b, err := metadata.Verify(file, trust, h.DB.Now())
		switch {
		case errors.Is(err, metadata.ErrRevocation):
			return fmt.Errorf("%w; fetch them and name each with --crl, or say --revocation-unchecked", err)
		case errors.Is(err, metadata.ErrOverdue):
			return fmt.Errorf("%w; fetch it from https://mds3.fidoalliance.org/, or say --overdue", err)
		case err != nil:
			return err
		}
		stored, err := metadata.Import(c.ctx, h.DB, b, operator)
		if err != nil {
			return err
		}
		told, err := h.Metadata.TellHolders(c.ctx)
		if err != nil {
			return err
		}
		if !stored {
			c.printf("Number %d is there already.\n", b.No)
		} else {
			c.printf("Number %d is imported: %d models. The next one comes by %s.\n", b.No, len(b.Models), b.NextUpdate.Format(time.DateOnly))
		}
		if !b.RevocationChecked {
			c.printf("Whether the certificates of its signature have been revoked was not checked.\n")
		}
		if len(b.Unread) > 0 {
			c.printf("Of %d entries something could not be read; carekey fido-metadata show says why.\n", len(b.Unread))
		}
		if told > 0 {
			c.printf("Holders of refused models who are told by mail now: %d.\n", told)
		}
		return nil
	})
}

func (i *fidoImportCommand) read(c *console) ([]byte, error) {
	from := c.in
	if i.File != "-" {
		file, err := os.Open(i.File)
		if err != nil {
			return nil, fmt.Errorf("reading the FIDO metadata: %w", err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, metadata.MostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the FIDO metadata: %w", err)
	}
	return text, nil
}

func readList(path string) (*x509.RevocationList, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a revocation list: %w", err)
	}
	if block, _ := pem.Decode(text); block != nil {
		text = block.Bytes
	}
	list, err := x509.ParseRevocationList(text)
	if err != nil {
		return nil, fmt.Errorf("reading the revocation list %s: %w", path, err)
	}
	return list, nil
}

type fidoShowCommand struct {
	Models string `help:"List the models whose name or AAGUID has this in it (\"\" for all)." placeholder:"TEXT" default:"-"`
	JSON   bool   `name:"json" help:"Print JSON."`
	place
}

// shown is what show prints as JSON.
type shown struct {
	metadata.Standing
	Overdue bool         `json:"overdue"`
	List    []shownModel `json:"list"`
}

type shownModel struct {
	metadata.Model
	Refused string `json:"refused,omitempty"`
}

// Run shows what was imported, and the refused models or those asked for.
func (s *fidoShowCommand) Run(c *console) error {
	return s.enter(c, func(h *server.House) error {
		out := shown{List: []shownModel{}}
		err := h.DB.Read(c.ctx, func(tx *db.Tx) error {
			var err error
			if out.Standing, err = metadata.Stand(tx); err != nil {
				return err
			}
			out.Overdue = out.Standing.Overdue(tx.Now()) > 0
			models, err := metadata.Models(tx)
			out.List = out.List[:0]
			for _, m := range models {
				status := h.Metadata.Of(m, tx.Now())
				if s.wanted(m, status) {
					out.List = append(out.List, shownModel{m, status.Reason})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		if s.JSON {
			encoder := json.NewEncoder(c.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(out)
		}
		return s.print(c, out)
	})
}

func (s *fidoShowCommand) wanted(m metadata.Model, status metadata.Status) bool {
	if s.Models == "-" {
		return !status.Good()
	}
	return strings.Contains(strings.ToLower(m.Description+" "+m.Name), strings.ToLower(s.Models))
}

func (s *fidoShowCommand) print(c *console, out shown) error {
	if out.No == 0 {
		c.printf("No FIDO metadata has been imported: no key can show its model, so none reaches AAL3 but by fido.roots_file.\n")
		return nil
	}
	state := "fresh"
	if out.Overdue {
		state = "OUT OF DATE"
	}
	revocation := "checked"
	if !out.RevocationChecked {
		revocation = "not checked"
	}
	c.printf("Number %d, imported %s UTC, %s: the next one comes by %s.\n", out.No, moment(out.ImportedAt), state, out.NextUpdate.Format(time.DateOnly))
	c.printf("Signed by %s; revocation %s.\n", out.Signer, revocation)
	c.printf("%d models, %d entries of other authenticators, %d entries of which something could not be read.\n", out.Standing.Models, out.Others, len(out.Unread))
	for _, why := range out.Unread {
		c.printf("  %s\n", why)
	}
	if len(out.List) == 0 {
		c.printf("No model is refused, or none is of that name.\n")
		return nil
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tAAGUID OR KEY IDENTIFIER\tKEYS IN\tLAST REPORT\tREFUSED BECAUSE")
	for _, m := range out.List {
		where, last := "software", "-"
		if m.Hardware {
			where = "hardware"
		}
		if n := len(m.Reports); n > 0 {
			last = m.Reports[n-1].Status
		}
		if m.Refused == "" {
			m.Refused = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", m.Description, m.Name, where, last, m.Refused)
	}
	return table.Flush()
}
