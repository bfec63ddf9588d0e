// A Terraform provider that only knows a schema. It lets Terraform itself check
// configurations for providers that cannot be installed here, and test them with
// mock_provider; it can plan, read and make nothing.
//
// It serves the file schema.json beside its own executable.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// file is the form of schema.json: that of `terraform providers schema -json`.
type file struct {
	Address   string           `json:"address"`
	Provider  *block           `json:"provider"`
	Resources map[string]block `json:"resource_schemas"`
	Data      map[string]block `json:"data_source_schemas"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes"`
	Blocks     map[string]nested    `json:"block_types"`
}

type attribute struct {
	Type     json.RawMessage `json:"type"`
	Required bool            `json:"required"`
	Optional bool            `json:"optional"`
	Computed bool            `json:"computed"`
}

type nested struct {
	Nesting  string `json:"nesting_mode"`
	MinItems int64  `json:"min_items"`
	MaxItems int64  `json:"max_items"`
	Block    block  `json:"block"`
}

var nestingModes = map[string]tfprotov5.SchemaNestedBlockNestingMode{
	"list":   tfprotov5.SchemaNestedBlockNestingModeList,
	"set":    tfprotov5.SchemaNestedBlockNestingModeSet,
	"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
}

func (b block) schema() (*tfprotov5.SchemaBlock, error) {
	out := &tfprotov5.SchemaBlock{}
	for name, a := range b.Attributes {
		kind, err := tftypes.ParseJSONType(a.Type) //nolint:staticcheck // the only parser there is
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		out.Attributes = append(out.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: kind,
			Required: a.Required, Optional: a.Optional, Computed: a.Computed,
		})
	}
	for name, n := range b.Blocks {
		inner, err := n.Block.schema()
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", name, err)
		}
		mode, known := nestingModes[n.Nesting]
		if !known {
			return nil, fmt.Errorf("block %s: unknown nesting %q", name, n.Nesting)
		}
		out.BlockTypes = append(out.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: mode,
			MinItems: n.MinItems, MaxItems: n.MaxItems,
		})
	}
	return out, nil
}

// provider answers what Terraform asks before it would plan. Everything else is left
// out: the embedded interface is nil.
type provider struct {
	tfprotov5.ProviderServer
	file file
}

func (p provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	out := &tfprotov5.GetMetadataResponse{}
	for name := range p.file.Resources {
		out.Resources = append(out.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for name := range p.file.Data {
		out.DataSources = append(out.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return out, nil
}

func schemas(from map[string]block) (map[string]*tfprotov5.Schema, error) {
	out := map[string]*tfprotov5.Schema{}
	for name, b := range from {
		s, err := b.schema()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = &tfprotov5.Schema{Block: s}
	}
	return out, nil
}

func (p provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	resources, err := schemas(p.file.Resources)
	if err != nil {
		return nil, err
	}
	data, err := schemas(p.file.Data)
	if err != nil {
		return nil, err
	}
	own := &tfprotov5.SchemaBlock{}
	if p.file.Provider != nil {
		if own, err = p.file.Provider.schema(); err != nil {
			return nil, err
		}
	}
	return &tfprotov5.GetProviderSchemaResponse{
		Provider:          &tfprotov5.Schema{Block: own},
		ResourceSchemas:   resources,
		DataSourceSchemas: data,
	}, nil
}

func (provider) PrepareProviderConfig(_ context.Context, in *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: in.Config}, nil
}

func (provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (provider) GetResourceIdentitySchemas(context.Context, *tfprotov5.GetResourceIdentitySchemasRequest) (*tfprotov5.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov5.GetResourceIdentitySchemasResponse{}, nil
}

func (provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func run() error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	bytes, err := os.ReadFile(filepath.Join(filepath.Dir(executable), "schema.json"))
	if err != nil {
		return err
	}
	p := provider{}
	if err := json.Unmarshal(bytes, &p.file); err != nil {
		return fmt.Errorf("schema.json: %w", err)
	}
	return tf5server.Serve(p.file.Address, func() tfprotov5.ProviderServer { return p })
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schema provider:", err)
		os.Exit(1)
	}
}
