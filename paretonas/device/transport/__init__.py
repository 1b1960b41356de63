"""device/transport"""
