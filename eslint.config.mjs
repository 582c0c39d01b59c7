import boundaries from "eslint-plugin-boundaries";
import regexp from "eslint-plugin-regexp";
import tseslint from "typescript-eslint";

// Imports point one way. Each folder lists what it may import; anything else is an error.
const layers = {
  time: [],
  errors: [],
  model: ["errors"],
  api: ["errors"],
  decide: ["model", "errors", "api", "ports"],
  net: ["time", "errors", "model"],
  runtime: ["time"],
  telemetry: ["time", "errors", "runtime"],
  config: ["time", "errors", "api", "decide", "model"],
  scaivault: ["net", "model", "errors", "time"],
  news: ["scaivault", "errors", "time"],
  ports: ["model", "errors"],
  sources: ["ports", "net", "model", "errors", "time", "api", "decide"],
  connection: ["sources", "scaivault", "net", "config", "model", "errors", "time", "api", "telemetry"],
  targets: ["ports", "scaivault", "runtime", "net", "model", "errors", "time", "api", "decide"],
  catalogue: ["ports", "model", "errors", "time", "decide"],
  controllers: ["catalogue", "ports", "decide", "api", "model", "errors", "time", "runtime", "telemetry", "config"],
  doctor: ["ports", "scaivault", "decide", "api", "model", "errors", "time", "net", "runtime", "config"],
  support: ["api", "config", "errors", "telemetry"],
  cli: [
    "model",
    "support",
    "doctor",
    "controllers",
    "catalogue",
    "ports",
    "decide",
    "api",
    "model",
    "errors",
    "time",
    "runtime",
    "telemetry",
    "config",
  ],
};
const names = Object.keys(layers);
const policy = (from, to) => ({
  from: { element: { type: from } },
  allow: { to: { element: { type: to } } },
});

export default tseslint.config(
  { ignores: ["node_modules/", "dist/", ".local/", "coverage/"] },
  {
    files: ["**/*.ts"],
    extends: [...tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/no-explicit-any": "error",
      "no-console": "error",
      eqeqeq: "error",
      "prefer-const": "error",
    },
  },
  { ...regexp.configs["flat/recommended"], files: ["**/*.ts"] },
  {
    files: ["src/**/*.ts"],
    plugins: { boundaries },
    settings: {
      "boundaries/include": ["src/**/*.ts"],
      "boundaries/elements": [
        ...names.map((name) => ({ type: name, pattern: `src/${name}` })),
        { type: "main", pattern: "src/*.ts", mode: "file" },
      ],
      "import/resolver": { node: { extensions: [".ts", ".mjs", ".js"] } },
    },
    rules: {
      complexity: ["warn", 15],
      "max-depth": ["error", 4],
      "max-lines": ["warn", { max: 320, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["warn", { max: 60, skipBlankLines: true, skipComments: true }],
      "boundaries/dependencies": [
        "error",
        {
          default: "disallow",
          policies: [...names.map((name) => policy(name, [name, ...layers[name]])), policy("main", ["main", ...names])],
        },
      ],
    },
  },
  {
    files: ["src/**/*.test.ts", "test/**/*.ts"],
    rules: { "boundaries/dependencies": "off", "max-lines-per-function": "off", "max-lines": "off" },
  },
  {
    files: ["local/**/*.ts", "scripts/**/*.ts", "bench/**/*.ts", "scaivault-server/**/*.ts", "src/cli/**/*.ts"],
    rules: { "no-console": "off" },
  },
);
