"""Subjects, enrollments, tutors, parents and groups: audiences are computed from them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from directory.models.user import User

_USER = settings.AUTH_USER_MODEL


class Subject(models.Model):
    """A school subject."""

    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Enrollment(models.Model):
    """A student who learns a subject with a teacher."""

    student = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="enrollments")
    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="enrollments")
    teacher = models.ForeignKey(
        _USER, on_delete=models.SET_NULL, null=True, blank=True, related_name="taught_enrollments"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["student", "subject", "teacher"], name="enrollment_once"
            )
        ]
        indexes = [models.Index(fields=["subject", "student"])]


class TutorAssignment(models.Model):
    """A student and the student's tutor."""

    student = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="tutor_assignments")
    tutor = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="tutored_assignments")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tutor", "student"], name="tutor_assignment_once")
        ]


class ParentLink(models.Model):
    """A parent and the parent's child, a student."""

    parent = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="child_links")
    student = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="parent_links")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["parent", "student"], name="parent_link_once")
        ]


class Group(models.Model):
    """A course, class or topic with members."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, default="topic")
    members: models.ManyToManyField[User, GroupMembership] = models.ManyToManyField(
        _USER, through="GroupMembership", related_name="member_groups"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class GroupMembership(models.Model):
    """One person in one group."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(_USER, on_delete=models.CASCADE, related_name="group_memberships")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="group_membership_once")
        ]
