#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Installs the kbwatch collector as a Windows service, or brings an older one up to date.

.DESCRIPTION
Copies the packaged collector (the folder that deploy/windows/kbwatch-collector.spec makes) to
Program Files and, at the first time, the settings to ProgramData; gives the folder of settings and
secrets to administrators; then `kbwatch-collector install` makes the service, its account's rights
and its recovery. Opens no port, changes no firewall rule. May be run again; -WhatIf shows what it
would do and changes nothing.

.EXAMPLE
.\install.ps1 -Package .\kbwatch-collector -Settings .\collector.toml -WhatIf

.EXAMPLE
.\install.ps1 -Package .\kbwatch-collector -Settings .\collector.toml
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    # Folder with kbwatch-collector.exe.
    [Parameter(Mandatory)] [ValidateScript({ Test-Path (Join-Path $_ 'kbwatch-collector.exe') })]
    [string] $Package,
    # Settings file; only used while there is none in ProgramData yet.
    [Parameter(Mandatory)] [ValidateScript({ Test-Path $_ -PathType Leaf })]
    [string] $Settings
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$service = 'kbwatch-collector'
$program = Join-Path $env:ProgramFiles 'kbwatch-collector'
$folder = Join-Path $env:ProgramData 'kbwatch'
$secrets = Join-Path $folder 'secrets'
$config = Join-Path $folder 'collector.toml'
$exe = Join-Path $program 'kbwatch-collector.exe'

function Invoke-Checked([string] $File, [string[]] $Words) {
    & $File @Words
    if ($LASTEXITCODE -ne 0) { throw "$File $($Words -join ' ') ended with $LASTEXITCODE" }
}

$running = Get-Service $service -ErrorAction SilentlyContinue
if ($running -and $running.Status -ne 'Stopped' -and
    $PSCmdlet.ShouldProcess($service, 'Stop the service')) {
    Stop-Service $service
}

if ($PSCmdlet.ShouldProcess($program, 'Replace the program')) {
    if (Test-Path $program) { Remove-Item -Recurse -Force -LiteralPath $program }
    Copy-Item -Recurse -LiteralPath $Package -Destination $program
}

if ($PSCmdlet.ShouldProcess($secrets, 'Make the folders of settings and secrets')) {
    New-Item -ItemType Directory -Force -Path $secrets | Out-Null
    # SYSTEM and administrators alone. The service's account is let in file by file; that it may
    # pass through folders is the one privilege that it keeps.
    Invoke-Checked icacls.exe @($folder, '/inheritance:r', '/grant:r',
        '*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F')
}

if (-not (Test-Path $config) -and $PSCmdlet.ShouldProcess($config, 'Copy the settings')) {
    Copy-Item -LiteralPath $Settings -Destination $config
}

if ($PSCmdlet.ShouldProcess($service, 'Make and start the service')) {
    Invoke-Checked $exe @('install', '--config', $config)
    Write-Output "Installed. How is it: & '$exe' status --config '$config'"
}
