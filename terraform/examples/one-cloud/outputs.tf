output "mcdeploy" {
  description = "The fleet: `terraform output -json mcdeploy | mcdeploy clusters add -f -`."
  value       = module.join.mcdeploy
}
