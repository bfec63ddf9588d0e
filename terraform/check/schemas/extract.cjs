// Reads the Terraform schema of resources out of a generated @cdktf provider package,
// without installing cdktf: the generated code is run against a stand-in that records.
//
// usage: node extract.cjs PACKAGE_DIR < {"resources": [...], "data": [...]} > schema.json
// Names that the package does not have are left out, so that Terraform itself says
// that the type is unknown.
"use strict";

const fs = require("fs");
const path = require("path");
const Module = require("module");

/** Answers every property and every call with itself. */
const anything = new Proxy(function () {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => "" : anything),
  apply: () => anything,
});

const leaf = (type) => () => ({ leaf: type });
const recorder = {
  canInspect: () => true,
  isComplexElement: () => false,
  Tokenization: { isResolvable: () => false },
  stringToHclTerraform: leaf("string"),
  numberToHclTerraform: leaf("number"),
  booleanToHclTerraform: leaf("bool"),
  anyToHclTerraform: leaf("dynamic"),
  listMapperHcl: (inner) => () => ({ many: inner(anything) }),
  hashMapperHcl: (inner) => () => ({ map: inner(anything) }),
};
// Base classes that the generated classes extend; nothing of them is run.
const cdktf = new Proxy(recorder, {
  get: (target, key) => (key in target ? target[key] : class {}),
});

const load = Module._load;
Module._load = (request, ...rest) =>
  request === "cdktf" ? cdktf : request === "constructs" ? {} : load(request, ...rest);

/** The TypeScript that the file was generated from: its comments say what is required. */
function source(file) {
  const text = fs.readFileSync(file, "utf8");
  const marker = "sourceMappingURL=data:application/json;base64,";
  const at = text.lastIndexOf(marker);
  if (at < 0) throw new Error(`${file}: has no source map`);
  const map = JSON.parse(Buffer.from(text.slice(at + marker.length).trim(), "base64"));
  return map.sourcesContent[0];
}

/** class name > attribute name > { computed, optional, required, type } */
function classes(typescript) {
  const found = {};
  let members, member;
  for (const line of typescript.split("\n")) {
    const start = /^export class (\w+)/.exec(line);
    if (start) {
      members = found[start[1]] = {};
      continue;
    }
    const flags = /^  \/\/ (\w+) - computed: (\w+), optional: (\w+), required: (\w+)/.exec(line);
    if (flags && members) {
      member = members[flags[1]] = {
        computed: flags[2] === "true",
        optional: flags[3] === "true",
        required: flags[4] === "true",
      };
      continue;
    }
    const nested = /^  private _\w+ = new (cdktf\.)?(\w+)\(/.exec(line);
    if (nested && member) member.type ??= { class: nested[2] };
    const plain = /^    return (?:cdktf\.Fn\.tolist\()?this\.(get\w+|interpolationFor\w+)\(/.exec(line);
    if (plain && member) member.type ??= { getter: plain[1] };
  }
  return found;
}

const GETTERS = {
  getStringAttribute: "string",
  getNumberAttribute: "number",
  getBooleanAttribute: "bool",
  getListAttribute: ["list", "string"],
  getNumberListAttribute: ["list", "number"],
  interpolationForAttribute: "dynamic",
};
const MAPS = { StringMap: "string", NumberMap: "number", BooleanMap: "bool", AnyMap: "dynamic" };

/** Type of an attribute that only the provider sets. */
function computedType(known, type) {
  if (!type) return "dynamic";
  if (type.getter) return GETTERS[type.getter] ?? "dynamic";
  if (type.class in MAPS) return ["map", MAPS[type.class]];
  if (/^(String|Number|Boolean)MapList$/.test(type.class)) {
    return ["list", ["map", MAPS[type.class.replace("List", "")]]];
  }
  const element = known[type.class.replace(/(List|Map|OutputReference)$/, "") + "OutputReference"];
  if (!element) return "dynamic";
  const members = Object.entries(element).map(([name, m]) => [name, computedType(known, m.type)]);
  const object = ["object", Object.fromEntries(members)];
  // A provider's single nested object is a list of one.
  return ["list", object];
}

/** Type of an attribute that a configuration may set. */
function inputType(value, kind) {
  if (value.leaf) return value.leaf;
  if (value.map) return ["map", inputType(value.map, "map")];
  if (value.many) return [kind === "set" ? "set" : "list", inputType(value.many, "struct")];
  const members = Object.entries(value).map(([name, m]) => [name, inputType(m.value, m.type)]);
  return ["object", Object.fromEntries(members)];
}

function blockOf(known, flags, inputs) {
  const block = { attributes: {}, block_types: {} };
  for (const [name, input] of Object.entries(inputs)) {
    const flag = flags[name] ?? { optional: true, computed: false, required: false };
    if (!input.isBlock) {
      block.attributes[name] = {
        type: inputType(input.value, input.type),
        required: flag.required,
        optional: !flag.required,
        computed: !flag.required && flag.computed,
      };
      continue;
    }
    const many = input.value.many;
    const inner = many ?? input.value;
    const className = input.storageClassType.replace(/List$/, "");
    const innerFlags =
      known[`${className}OutputReference`] ?? known[`${input.storageClassType}OutputReference`];
    if (!innerFlags) throw new Error(`block ${name}: no class ${className}OutputReference`);
    const nesting = input.type === "struct" ? "single" : input.type;
    block.block_types[name] = {
      nesting_mode: nesting,
      min_items: flag.required && nesting !== "single" ? 1 : 0,
      max_items: many || nesting === "single" ? 0 : 1,
      block: blockOf(known, innerFlags, inner),
    };
  }
  for (const [name, flag] of Object.entries(flags)) {
    if (name in inputs) continue;
    block.attributes[name] = { type: computedType(known, flag.type), computed: true };
  }
  return block;
}

function schemaOf(directory) {
  const file = path.join(directory, "index.js");
  const exported = require(path.resolve(file));
  const main = Object.entries(exported).find(([, value]) => value?.tfResourceType);
  if (!main) throw new Error(`${file}: no class with tfResourceType`);
  const [name, type] = main;
  // Large resources are spread over more files, below the main one.
  const files = fs.readdirSync(directory, { recursive: true }).filter((f) => f.endsWith(".js"));
  const known = {};
  for (const f of files) Object.assign(known, classes(source(path.join(directory, f))));
  const inputs = type.prototype.synthesizeHclAttributes.call(anything);
  const block = blockOf(known, known[name], inputs);
  // Part of every schema, and left out of the generated code where it is reserved.
  block.attributes.id ??= { type: "string", computed: true };
  return block;
}

function main() {
  const [root] = process.argv.slice(2);
  const wanted = JSON.parse(fs.readFileSync(0, "utf8"));
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const provider = manifest.name.replace("@cdktf/provider-", "");
  const schemas = (names, prefix) => {
    const out = {};
    for (const name of names) {
      const folder = prefix + (prefix ? name : name.replace(`${provider}_`, "")).replaceAll("_", "-");
      const directory = path.join(root, "lib", folder);
      if (fs.existsSync(directory)) out[name] = schemaOf(directory);
    }
    return out;
  };
  const result = {
    address: `registry.terraform.io/hashicorp/${provider}`,
    provider: providerSchema(path.join(root, "lib", "provider")),
    resource_schemas: schemas(wanted.resources, ""),
    data_source_schemas: schemas(wanted.data, "data-"),
  };
  process.stdout.write(JSON.stringify(result));
}

/** The provider's own configuration: the same code, one class. */
function providerSchema(directory) {
  const file = path.join(directory, "index.js");
  const exported = require(path.resolve(file));
  const [, type] = Object.entries(exported).find(([, value]) => value?.tfResourceType);
  const inputs = type.prototype.synthesizeHclAttributes.call(anything);
  return looseBlock(inputs);
}

/** As `blockOf`, where the generated code says nothing of what is required. */
function looseBlock(inputs) {
  const block = { attributes: {}, block_types: {} };
  for (const [name, input] of Object.entries(inputs)) {
    if (!input.isBlock) {
      block.attributes[name] = { type: inputType(input.value, input.type), optional: true };
      continue;
    }
    const many = input.value.many;
    block.block_types[name] = {
      nesting_mode: input.type === "struct" ? "single" : input.type,
      min_items: 0,
      max_items: many ? 0 : 1,
      block: looseBlock(many ?? input.value),
    };
  }
  return block;
}

main();
