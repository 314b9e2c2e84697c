package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Write the version of bide", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			v := buildVersion()
			return out.value(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "bide %s, %s, %s\n", v.Version, v.Go, v.Platform)
				return err
			})
		},
	}
}

// versionInfo says what this program was built from.
type versionInfo struct {
	Version  string `json:"version"` // (devel) when it was built from a working copy
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionInfo {
	v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}
