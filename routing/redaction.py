from enum import StrEnum
class Treatment(StrEnum):
    KEPT="kept"; TRANSFORMED="transformed"; DROPPED="dropped"
