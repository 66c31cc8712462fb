"""Goods in the hands of somebody who may not carry them on: where they stand, who takes them over."""
