"""Where ``penstock deploy`` brings a project, as ``conf`` says it under ``deploy``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from penstock.conf_record import Record

#: Folder of a bucket; no wildcards and variables of IAM policies, where it becomes a resource.
Folder = Annotated[
    str,
    StringConstraints(
        pattern=r"^s3://[A-Za-z0-9][A-Za-z0-9.-]{1,61}[A-Za-z0-9](/[^/*?$\s#,]+)*/?$"
    ),
]
Architecture = Literal["x86_64", "arm64"]
_RELEASE = r"^emr-(spark-)?\d{1,2}\.\d{1,2}\.\d{1,2}$"
_ROLE_NAME = r"^[A-Za-z0-9_+=,.@-]{1,64}$"
_SUBNET = r"^subnet-[0-9a-f]{8,17}$"
#: EC2's names: a g after the generation's number is an ARM processor (m6g, c7gn, im4gn; not g4dn).
_GRAVITON = re.compile(r"[a-z]+\d+[a-z]*g[a-z]*[.-]")
_SPARK = "More spark.* settings of every job; they win over what penstock sets."


class DeployEmrServerless(Record):
    """An EMR Serverless application and its jobs."""

    release: str = Field(default="emr-7.13.0", pattern=_RELEASE, description="EMR's release.")
    architecture: Architecture = Field(default="x86_64", description="Of its workers.")
    python: Literal["3.11", "3.12", "3.13"] = Field(
        default="3.11", description="Python of driver and executors, as the release has it."
    )
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._/#-]{1,64}$",
        description="Name of the application; unset: penstock-PROJECT-ENV.",
    )
    role: str | None = Field(
        default=None,
        pattern=_ROLE_NAME,
        description="Name of the jobs' role; unset: penstock-PROJECT-ENV-emr-serverless.",
    )
    idle_minutes: int = Field(
        default=15, ge=1, le=10_080, description="Minutes without a job after which it stops."
    )
    timeout_minutes: int = Field(
        default=720,
        ge=5,
        le=10_080,
        description="Minutes after which a run is ended; a stream is not.",
    )
    max_cpu: int = Field(
        default=64, ge=1, le=4_000, description="vCPUs of all its workers together, at most."
    )
    max_memory_gb: int = Field(
        default=256, ge=1, le=32_000, description="GB of all its workers together, at most."
    )
    subnets: tuple[Annotated[str, StringConstraints(pattern=_SUBNET)], ...] = Field(
        default=(), strict=False, description="Subnets, where it must reach things in a VPC."
    )
    security_groups: tuple[str, ...] = Field(
        default=(), strict=False, description="Security groups in that VPC."
    )
    image_uri: str | None = Field(
        default=None,
        description="An image of yours that has the libraries; none are shipped then.",
    )
    settings: dict[str, str] = Field(default_factory=dict, description=_SPARK)


class DeployEmr(Record):
    """EMR on EC2: a cluster for each run, or one that is there already."""

    release: str = Field(default="emr-7.13.0", pattern=_RELEASE, description="EMR's release.")
    architecture: Architecture = Field(default="x86_64", description="Of the instances.")
    python: Literal["3.11", "3.12", "3.13"] = Field(
        default="3.11", description="Python of driver and executors, as the release has it."
    )
    cluster_id: str | None = Field(
        default=None,
        pattern=r"^j-[0-9A-Z]{1,40}$",
        description="A cluster that is there; unset: each run has one of its own, which ends.",
    )
    role: str | None = Field(
        default=None,
        pattern=_ROLE_NAME,
        description="Role and instance profile of the instances; unset: penstock-PROJECT-ENV-emr.",
    )
    service_role: str = Field(
        default="EMR_DefaultRole", pattern=_ROLE_NAME, description="Role of EMR itself; must exist."
    )
    subnet: str | None = Field(
        default=None, pattern=_SUBNET, description="Subnet of the instances; unset: EMR's choice."
    )
    instance_type: str = Field(
        default="m6i.xlarge", pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$", description="Of all instances."
    )
    instances: int = Field(
        default=3, ge=1, le=500, description="How many, the primary one included."
    )
    settings: dict[str, str] = Field(default_factory=dict, description=_SPARK)

    @model_validator(mode="after")
    def _check(self) -> DeployEmr:
        found = "arm64" if _GRAVITON.match(self.instance_type) else "x86_64"
        if self.cluster_id is None and found != self.architecture:
            message = f"has instance_type {self.instance_type}, which is {found}"
            raise ValueError(f"{message}, and architecture {self.architecture}")
        return self


class DeployGlue(Record):
    """Glue jobs, one for each script of ``jobs/``."""

    version: Literal["5.1", "6.0"] = Field(default="5.1", description="Glue's version.")
    worker_type: Literal["G.1X", "G.2X", "G.4X", "G.8X", "R.1X", "R.2X", "R.4X", "R.8X"] = Field(
        default="G.1X", description="Glue's type of worker."
    )
    workers: int = Field(default=2, ge=2, le=299, description="Workers, the driver's included.")
    timeout_minutes: int = Field(
        default=720,
        ge=1,
        le=10_080,
        description="Minutes after which a run is ended; a stream after 10,080.",
    )
    concurrent: int = Field(
        default=4, ge=1, le=1_000, description="Runs of one job at the same time, at most."
    )
    role: str | None = Field(
        default=None,
        pattern=_ROLE_NAME,
        description="Name of the jobs' role; unset: penstock-PROJECT-ENV-glue.",
    )
    settings: dict[str, str] = Field(default_factory=dict, description=_SPARK)


class Deploy(Record):
    """What is brought to AWS, and where."""

    location: Folder | None = Field(
        default=None, description="s3://BUCKET/FOLDER of what is shipped, and of the runs' logs."
    )
    manage: bool = Field(
        default=True,
        description="Whether role, application and jobs are made and changed; false: others do "
        "(CloudFormation), and only what is shipped is written.",
    )
    extras: tuple[Literal["quality", "iceberg", "stream"], ...] = Field(
        default=(), strict=False, description="Extras of penstock whose libraries are shipped."
    )
    packages: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][^\r\n]*$")], ...] = (
        Field(default=(), strict=False, description="More packages that the project needs.")
    )
    built: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][^\r\n]*$")], ...] = Field(
        default=(),
        strict=False,
        description="The same, of such as have no wheel and no compiled code: built here.",
    )
    constraints: str | None = Field(
        default=None,
        description="File of versions (pip's constraints); unset: what penstock is tested with.",
    )
    wheels: str | None = Field(
        default=None,
        description="Folder of wheels that is shipped as it is; unset: pip loads them.",
    )
    kms_key: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$",
        description="ARN of the key that objects of lake, state and location are encrypted with.",
    )
    emr_serverless: DeployEmrServerless = DeployEmrServerless()
    emr: DeployEmr = DeployEmr()
    glue: DeployGlue = DeployGlue()

    @model_validator(mode="after")
    def _check(self) -> Deploy:
        more = self.packages or self.built or self.constraints or self.extras
        if self.wheels is not None and more:
            message = "cannot have wheels together with extras, packages, built or constraints"
            raise ValueError(message)
        return self
