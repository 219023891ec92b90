"""Groups of staff: the categories whose templates their members may write and broadcast."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from notifications.models.content.category import Category


class StaffGroup(models.Model):
    """A group of staff. It limits its members and grants nothing; admins are never limited."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class StaffGroupCategory(models.Model):
    """A category that the members of a group may work in."""

    group = models.ForeignKey(StaffGroup, on_delete=models.CASCADE, related_name="category_rows")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "category"], name="staff_group_category_once")
        ]

    def __str__(self) -> str:
        return f"category {self.category_id} of group {self.group_id}"


class StaffGroupMember(models.Model):
    """A member of a group. A user who is no member of staff any more has no such row."""

    group = models.ForeignKey(StaffGroup, on_delete=models.CASCADE, related_name="member_rows")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="staff_groups"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="staff_group_member_once")
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} in group {self.group_id}"
