// Prints how a Kubernetes API server answers each of the manifests on standard input.
//
// A manifest takes the way it takes from `kubectl create -f`: sigs.k8s.io/yaml makes JSON of it, a List is taken apart,
// and the server decodes each object strictly, fills in defaults, and validates it. README.md has the formats.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	netutils "k8s.io/utils/net"
	"sigs.k8s.io/yaml"
)

// A line of the input.
type mutant struct {
	Manifest string // where the manifest without a mutation stands
	Path     string // the value that was replaced
	Text     string // the mutated manifest
}

func main() {
	explain := len(os.Args) > 1 && os.Args[1] == "explain"
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	var all []mutant
	for lines.Scan() {
		var next mutant
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			panic(err)
		}
		all = append(all, next)
	}
	for len(all) > 0 {
		count := 1
		for count < len(all) && all[count].Manifest == all[0].Manifest {
			count++
		}
		if explain {
			for _, one := range all[:count] {
				said, err := answer(one.Text)
				fmt.Fprintf(out, "%s %s\n%s%s\n%v\n\n", one.Manifest, one.Path, one.Text, said, err)
			}
		} else {
			table(out, all[:count])
		}
		all = all[count:]
	}
}

// The answers to the mutants of one manifest. The first of these is the manifest itself.
func table(out *bufio.Writer, mutants []mutant) {
	texts := sha256.New()
	for _, one := range mutants {
		texts.Write([]byte(one.Text))
	}
	original := digest(mutants[0].Text)
	fmt.Fprintf(out, "# %s\t%s\t%s", mutants[0].Manifest, hex.EncodeToString(texts.Sum(nil))[:16], original)
	path := ""
	for _, one := range mutants[1:] {
		if one.Path != path {
			path = one.Path
			fmt.Fprintf(out, "\n%s\t", path)
		} else {
			fmt.Fprint(out, " ")
		}
		said := digest(one.Text)
		if said != "-" && said == original {
			said = "="
		}
		fmt.Fprint(out, said)
	}
	fmt.Fprintln(out)
}

func digest(text string) string {
	meaning, err := answer(text)
	if err != nil {
		return "-"
	}
	sum := sha256.Sum256(meaning)
	return hex.EncodeToString(sum[:])[:10]
}

// What a manifest means, as JSON, or why it is refused.
func answer(text string) ([]byte, error) {
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	objects, err := objects(body)
	if err != nil {
		return nil, err
	}
	meanings := []any{}
	for _, object := range objects {
		meaning, err := create(object)
		if err != nil {
			return nil, err
		}
		meanings = append(meanings, meaning)
	}
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(meanings)
	return bytes.TrimSpace(written.Bytes()), err
}

// The objects in a document, as kubectl tells them apart.
func objects(body []byte) ([]*unstructured.Unstructured, error) {
	object, kind, err := unstructured.UnstructuredJSONScheme.Decode(body, nil, nil)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata,omitempty"`
	}
	if err := utiljson.Unmarshal(body, &metadata); err != nil {
		return nil, err
	}
	list, ok := object.(*unstructured.UnstructuredList)
	if !ok {
		return []*unstructured.Unstructured{object.(*unstructured.Unstructured)}, nil
	}
	switch kind.String() {
	case "/v1, Kind=List", "networking.k8s.io/v1, Kind=NetworkPolicyList":
	default:
		return nil, fmt.Errorf("no list: %v", kind)
	}
	var all []*unstructured.Unstructured
	for place := range list.Items {
		item, err := list.Items[place].MarshalJSON()
		if err != nil {
			return nil, err
		}
		more, err := objects(item)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// What an API server does with an object that it is to create.
func create(object *unstructured.Unstructured) (any, error) {
	body, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	gvk := object.GroupVersionKind()
	switch gvk {
	case schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}:
	case schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}:
		if object.GetNamespace() == "" {
			object.SetNamespace("default")
			if body, err = object.MarshalJSON(); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("not served here: %v", gvk)
	}
	scheme := legacyscheme.Scheme
	strict := serializer.NewSerializerWithOptions(
		serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Strict: true})
	internal := schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	decoded, _, err := legacyscheme.Codecs.DecoderToVersion(strict, internal).Decode(body, &gvk, nil)
	if err != nil {
		return nil, err
	}
	switch decoded := decoded.(type) {
	case *networking.NetworkPolicy:
		networkpolicy.Strategy.PrepareForCreate(context.Background(), decoded)
		if errs := networkpolicy.Strategy.Validate(context.Background(), decoded); len(errs) > 0 {
			return nil, errs.ToAggregate()
		}
		return policy(decoded), nil
	case *core.Namespace:
		if errs := validation.ValidateNamespace(decoded); len(errs) > 0 {
			return nil, errs.ToAggregate()
		}
		return map[string]any{"kind": "Namespace", "name": decoded.Name, "labels": decoded.Labels}, nil
	}
	return nil, fmt.Errorf("unexpected %T", decoded)
}

func policy(policy *networking.NetworkPolicy) any {
	spec := policy.Spec
	types := []string{}
	for _, direction := range []networking.PolicyType{networking.PolicyTypeEgress, networking.PolicyTypeIngress} {
		for _, given := range spec.PolicyTypes {
			if given == direction {
				types = append(types, string(direction))
				break
			}
		}
	}
	ingress, egress := []any{}, []any{}
	for _, one := range spec.Ingress {
		ingress = append(ingress, rule(one.From, one.Ports))
	}
	for _, one := range spec.Egress {
		egress = append(egress, rule(one.To, one.Ports))
	}
	return map[string]any{
		"kind": "NetworkPolicy", "namespace": policy.Namespace, "name": policy.Name,
		"pods": selector(&spec.PodSelector), "types": types, "ingress": ingress, "egress": egress,
	}
}

func rule(peers []networking.NetworkPolicyPeer, ports []networking.NetworkPolicyPort) any {
	allPeers, allPorts := []any{}, []any{}
	for _, one := range peers {
		allPeers = append(allPeers, map[string]any{
			"pods": selector(one.PodSelector), "namespaces": selector(one.NamespaceSelector), "block": block(one.IPBlock),
		})
	}
	for _, one := range ports {
		port := map[string]any{"protocol": nil, "port": nil, "end": nil}
		if one.Protocol != nil {
			port["protocol"] = *one.Protocol
		}
		if one.Port != nil {
			port["port"] = *one.Port
		}
		if one.EndPort != nil {
			port["end"] = *one.EndPort
		}
		allPorts = append(allPorts, port)
	}
	return map[string]any{"peers": allPeers, "ports": allPorts}
}

func selector(selector *metav1.LabelSelector) any {
	if selector == nil {
		return nil
	}
	labels, expressions := map[string]string{}, []any{}
	for key, value := range selector.MatchLabels {
		labels[key] = value
	}
	for _, one := range selector.MatchExpressions {
		expressions = append(expressions, map[string]any{
			"key": one.Key, "operator": one.Operator, "values": append([]string{}, one.Values...),
		})
	}
	return map[string]any{"labels": labels, "expressions": expressions}
}

func block(block *networking.IPBlock) any {
	if block == nil {
		return nil
	}
	except := []string{}
	for _, one := range block.Except {
		except = append(except, network(one))
	}
	return map[string]any{"cidr": network(block.CIDR), "except": except}
}

// A block without the bits beyond its prefix.
func network(cidr string) string {
	_, network, err := netutils.ParseCIDRSloppy(cidr)
	if err != nil {
		panic(err)
	}
	return network.String()
}
