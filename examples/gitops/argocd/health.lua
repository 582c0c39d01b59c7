-- Health of SecretSync and FederationBackend for Argo CD; one script for both kinds.
-- argocd-cm.yaml beside this file has it ready to merge into the ConfigMap argocd-cm.

-- Reasons that end by themselves, or when something that is on its way arrives. Every other reason that is not Ready needs
-- a person, and is Degraded; so is one that this script does not know.
local comes = {
  AuthorityUnknown = true,
  BackendNotFound = true,
  BackendNotReady = true,
  CredentialNotFound = true,
  DeletionUnconfirmed = true,
  InvalidTLSPair = true,
  KubernetesUnavailable = true,
  NamespaceTerminating = true,
  OtherCluster = true,
  Progressing = true,
  RateLimited = true,
  ScaiVaultUnavailable = true,
  SourceUnavailable = true,
  WaitingForWriter = true,
}
local paused = { BackendSuspended = true, Suspended = true }

local function health(status, message)
  return { status = status, message = message }
end

local status = obj.status
if status == nil or status.conditions == nil then
  return health("Progressing", "the operator has not looked at this object yet")
end
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the operator has not looked at the last change yet")
end

local ready = nil
local stalled = false
for _, condition in ipairs(status.conditions) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" and condition.status == "True" then
    stalled = true
  end
end
if ready == nil then
  return health("Progressing", "the operator has not looked at this object yet")
end

local message = ready.reason or ""
if ready.message ~= nil and ready.message ~= "" then
  message = message .. ": " .. ready.message
end
if ready.status == "True" then
  return health("Healthy", message)
end
if stalled then
  return health("Degraded", message)
end
if paused[ready.reason] then
  return health("Suspended", message)
end
if comes[ready.reason] then
  return health("Progressing", message)
end
return health("Degraded", message)
