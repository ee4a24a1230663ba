#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Removes the kbwatch collector: service, account, rights, program, settings, secrets and spool.

.DESCRIPTION
Leaves nothing. What the collector has not sent yet is lost: `kbwatch-collector status` says how
much that is. -KeepSettings keeps the folder of settings and secrets in ProgramData. May be run
again; -WhatIf shows what it would do and changes nothing.

.EXAMPLE
.\uninstall.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param([switch] $KeepSettings)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$service = 'kbwatch-collector'
$program = Join-Path $env:ProgramFiles 'kbwatch-collector'
$folder = Join-Path $env:ProgramData 'kbwatch'
$config = Join-Path $folder 'collector.toml'
$exe = Join-Path $program 'kbwatch-collector.exe'

if ((Test-Path $exe) -and (Test-Path $config) -and
    $PSCmdlet.ShouldProcess($service, 'Remove the service, its rights and its data')) {
    & $exe uninstall --config $config
    if ($LASTEXITCODE -ne 0) { throw "kbwatch-collector uninstall ended with $LASTEXITCODE" }
}
elseif ((Get-Service $service -ErrorAction SilentlyContinue) -and
    $PSCmdlet.ShouldProcess($service, 'Remove the service, whose program or settings are gone')) {
    Stop-Service $service -ErrorAction SilentlyContinue
    Remove-LocalGroupMember -SID S-1-5-32-573 -Member "NT SERVICE\$service" `
        -ErrorAction SilentlyContinue
    & sc.exe delete $service
    if ($LASTEXITCODE -ne 0) { throw "sc.exe delete $service ended with $LASTEXITCODE" }
}

if ((Test-Path $program) -and $PSCmdlet.ShouldProcess($program, 'Remove the program')) {
    Remove-Item -Recurse -Force -LiteralPath $program
}
if (-not $KeepSettings -and (Test-Path $folder) -and
    $PSCmdlet.ShouldProcess($folder, 'Remove settings and secrets')) {
    Remove-Item -Recurse -Force -LiteralPath $folder
}
