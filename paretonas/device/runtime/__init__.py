"""device/runtime"""
