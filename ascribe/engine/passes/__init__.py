"""The passes: functions of a plan and some records that return their batch."""
